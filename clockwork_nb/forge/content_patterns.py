"""The table behind `clockwork_nb.forge.content_flags`: what theft, escape and destruction look like in a script.

Every repetition is bounded, so that no line, whoever wrote it, takes more than linear time.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from msgspec import Struct

__all__ = ["ASSIGNED", "ENVIRONMENT", "NETWORK", "PATTERNS", "SECRETS", "Pattern", "Rule"]

_SHELL: Final = r"(?:(?:ba|da|z|k|a)?sh|python[\d.]{0,5}|perl|ruby|node|deno|php)\b"
_PIPED: Final = rf".{{0,300}}\|\s*(?:sudo\s+)?(?:[\w/.-]{{0,40}}/)?{_SHELL}"
_RECURSIVE: Final = (
    r"\brm\s+(?:-[\w-]{1,30}\s+){0,4}(?:-[a-z]{0,9}r[a-z]{0,9}|--recursive)\s+(?:-[\w-]{1,30}\s+){0,4}(?:--\s+)?"
)

_DECODED: Final = "runs code that it decodes or downloads first"


class Rule(Struct, frozen=True):
    """A regular expression that is tried, line by line, only where one of ``needles`` (lower case) is in the text."""

    needles: tuple[str, ...]
    expression: str
    flags: re.RegexFlag

    @property
    def regex(self) -> re.Pattern[str]:
        """The expression, compiled when first asked for: few scripts hold a needle, and each costs milliseconds."""
        return _compiled(self.expression, self.flags)

    def worth_trying(self, lowered: str) -> bool:
        """Return whether a text, given in lower case, can match at all. Cheap: most scripts hold none of the needles."""
        for needle in self.needles:  # noqa: SIM110 - asked some hundred times of each script; any() takes twice as long
            if needle in lowered:
                return True
        return False


class Pattern(Rule, frozen=True):
    """A rule with the code it raises and what that means, for people. Several may share a code."""

    code: str
    words: str


@cache
def _compiled(expression: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(expression, flags)


def _pattern(code: str, words: str, needles: str, *patterns: str) -> Pattern:
    return Pattern(tuple(needles.split(",")), "|".join(patterns), re.IGNORECASE, code, words)


PATTERNS: Final[tuple[Pattern, ...]] = (
    _pattern(
        "metadata-service",
        "asks the cloud's metadata service, which hands out credentials",
        "169.254,metadata.google,fd00:ec2,100.100.100.200,2852039166,0xa9fea9fe",
        r"169\.254\.169\.254|169\.254\.170\.2\b|metadata\.google\.internal|fd00:ec2::254",
        r"\b100\.100\.100\.200\b|\b2852039166\b|0xa9fea9fe",
    ),
    _pattern(
        "process-environment",
        "reads the variables or memory of processes",
        "/proc/",
        r"/proc/[^/\s]{1,40}/(?:environ|mem|maps|cmdline)\b",
    ),
    _pattern(
        "reverse-shell",
        "gives a shell to somebody on the network",
        "/dev/tcp,/dev/udp,nc ,ncat,netcat,socat,mkfifo,dup2,pty.spawn",
        r"/dev/(?:tcp|udp)/",
        r"\b(?:nc|ncat|netcat)\b.{0,300}\s-\w{0,9}[ec]\w{0,9}\s",
        r"\bsocat\b.{0,300}\b(?:exec|system):",
        rf"\bmkfifo\b{_PIPED}",
        r"\bdup2\s*\(.{0,100}fileno|\bpty\.spawn\b",
    ),
    _pattern(
        "removal-of-unset",
        "removes below a variable that may be empty, or the root or home folder",
        "rm -,rm\t,no-preserve-root,rmtree",
        _RECURSIVE + r"[\"']?\$(?:\w{1,80}|\{\w{1,80}\})[\"']?(?:/|\*|\s|;|$)",
        _RECURSIVE + r"[\"']?(?:/|~|\$HOME|\$\{HOME\}|/(?:etc|usr|var|home|boot|root))/?\*?[\"']?(?:\s|;|&|$)",
        r"--no-preserve-root|\brmtree\(\s*[\"'](?:/|~|/home|/etc|/usr|/var)/?[\"']",
    ),
    _pattern(
        "scheduled-job",
        "plants a job that runs later",
        "crontab,/etc/cron,/var/spool,systemd-run,.timer,at now,at midnight,at noon,batch,at 0,at 1,at 2,at 3,at 4,at 5,at 6,at 7,at 8,at 9",
        r"\bcrontab\b|/etc/cron|/etc/anacrontab|/var/spool/(?:cron|at)\b",
        r"(?:^|[;&|]\s{0,20})(?:at|batch)\s+(?:now|midnight|noon|\d)|\bsystemd-run\b|/systemd/.{0,100}\.timer\b",
    ),
    _pattern(
        "ssh-keys",
        "touches SSH keys or who may log in",
        ".ssh,authorized_keys,id_rsa,id_ed25519,id_ecdsa,id_dsa,ssh-copy-id",
        r"\.ssh\b|\bauthorized_keys\b|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|\bssh-copy-id\b",
    ),
    _pattern(
        "credential-files",
        "touches files where credentials are kept",
        ".aws,.netrc,.kube,.docker,gcloud,.gnupg,shadow,.git-credentials,.pypirc,.npmrc,/run/secrets,.azure",
        r"\.aws/(?:credentials|config)|\.netrc\b|\.kube/config|\.docker/config\.json|\.config/gcloud|\.azure/|\.gnupg\b",
        r"/etc/g?shadow\b|\.git-credentials\b|\.pypirc\b|\.npmrc\b|/run/secrets/",
    ),
    _pattern(
        "decoded-code",
        _DECODED,
        "base64,base32,xxd,openssl,gunzip,zcat,uudecode,curl,wget",
        rf"\b(?:base64|base32|xxd|openssl\s+(?:enc|base64)|gunzip|zcat|uudecode|curl|wget)\b{_PIPED}",
    ),
    _pattern(
        "decoded-code",
        _DECODED,
        "eval,source,<(,-c ,sh $(,sh `,sh \"$(,sh \"`,. $(,. `,exec,compile,marshal,pickle",
        rf"(?:\b{_SHELL}|\beval|\bsource|(?:^|[;&|])\s{{0,20}}\.)\s+(?:-c\s+)?[\"']?(?:<\(|\$\(|`)",
        r"\beval\s+[\"']?\$",
        r"\b(?:exec|eval|compile)\s*\(.{0,200}(?:b64decode|fromhex|decompress|urlopen|atob|\.read\(|\.get\()",
        r"\b(?:marshal|pickle)\.loads?\b",
    ),
    _pattern(
        "set-user-id",
        "makes a program run with its owner's rights",
        "chmod,setcap,s_isuid,s_isgid",
        r"\bchmod\b[^|;&]{0,200}\s(?:[ugoa]{0,4}\+\w{0,4}s|0?[2-7][0-7]{3})(?:\s|,)|\bsetcap\b",
        r"\bchmod\(.{0,200}(?:0o[2-7][0-7]{3}\b|S_IS[UG]ID)",
    ),
    _pattern(
        "privilege",
        "asks for another user's rights, or a way out of its walls",
        "sudo,doas,pkexec,su -,nsenter,unshare,chroot,docker.sock,podman.sock,--privileged,setuid",
        r"(?:^|[;&|(]\s{0,20})(?:sudo|doas|pkexec|su\s+-|nsenter|unshare|chroot)\b",
        r"\b(?:docker|podman)\.sock\b|\s--privileged\b|\bsetuid\s*\(",
    ),
    _pattern(
        "startup-files",
        "changes what runs at login or start",
        "rc,profile,xinit,/etc/,autostart,/systemd,.git/hooks,customize,ld_preload,zshenv",
        r"\.(?:bashrc|bash_profile|bash_login|profile|zshrc|zprofile|zshenv|xinitrc)\b|\.config/(?:autostart|systemd)\b",
        r"/etc/(?:profile|rc\.local|ld\.so\.preload|sudoers|passwd|systemd|init\.d|environment)\b",
        r"\.git/hooks\b|\b(?:site|user)customize\b|\bLD_PRELOAD\s*=",
    ),
    _pattern(
        "device-write",
        "writes to a disk or kernel interface directly, or floods the machine",
        "of=/dev,mkfs,/dev/sd,/dev/nvme,/dev/vd,/dev/mem,/dev/kmem,/proc/sys,:()",
        r"\bof=/dev/(?!null\b|stdout\b|stderr\b)|\bmkfs\b|>\s*/dev/(?:sd|nvme|vd|mem|kmem)|/proc/sys(?:rq-trigger|/kernel(?!/random/))",
        r":\(\)\s*\{",
    ),
)  # fmt: skip
"""What a line of a program may hold, by code."""

ENVIRONMENT: Final = Rule(
    ("env", "export -p", "declare -", "set |", "set|", "set >", "set>"),
    r"(?:^|[;&|({`])\s{0,40}(?:/usr/bin/)?(?:env|printenv|export\s+-p|declare\s+-[px]{1,2})\s*(?:$|[|;>)&`])"
    r"|(?:^|[;&|({`])\s{0,40}set\s*[|>]"
    r"|\bos\.environ(?!b?\s*\[|b?\.get|\w)|Deno\.env\.toObject|\bos\.Environ\(",
    re.NOFLAG,
)
"""A line that takes all variables at once."""

NETWORK: Final = Rule(
    (),
    r"\b(?:curl|wget|nc|ncat|netcat|socat|telnet|ftp|scp|rsync|nslookup|dig|s_client)\b|/dev/(?:tcp|udp)/"
    r"|\b(?:urllib|requests|httpx|http\.client|socket|smtplib|aiohttp)\b|\bfetch\s*\(|Deno\.connect|\"net(?:/http)?\"",
    re.NOFLAG,
)
"""Something that talks to the network; it has no needles of its own."""

# Forms that their issuers document, and a password within a URL (RFC 3986 §3.2.1).
SECRETS: Final = Rule(
    ("private key", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xox", "sk_live_", "sk-", "aiza",
     "glpat-", "eyj", "://"),
    r"-----BEGIN (?:[A-Z]{1,12} )?PRIVATE KEY-----|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}"
    r"|\bgithub_pat_\w{50}|\bxox[abprs]-[\w-]{10}|\bsk_live_\w{16}|\bsk-(?:ant-|proj-)?[\w-]{32}|\bAIza[\w-]{35}\b"
    r"|\bglpat-[\w-]{20}|\beyJ[\w-]{10,300}\.eyJ[\w-]{10}|\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@]{1,80}:[^/\s:@$*{]{3,120}@",
    re.NOFLAG,
)  # fmt: skip
"""A literal that is a key, a token or a password by its form."""

ASSIGNED: Final = Rule(
    ("passw", "passphrase", "secret", "api_key", "apikey", "access_key", "accesskey", "auth_token", "authtoken"),
    r"(?i)\b\w{0,60}(?:passw(?:or)?d|passphrase|secret|api_?key|access_?key|auth_?token)\w{0,30}[\"']?\s*[:=]\s*[\"']?"
    r"(?![\"'$<{]|None\b|null\b|true\b|false\b)[^\s\"'$`(){}]{8,200}[\"']?\s*(?:$|[;,#])",
    re.NOFLAG,
)
"""A literal given to a name that says what it is."""
