"""Which addresses a checkout may come from, and which names it may ask for. Pure."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote, urlsplit

from clockwork_nb.patterns import pattern

__all__ = [
    "is_commit",
    "ref_problem",
    "stays_inside",
    "url_origin",
    "url_port",
    "url_problem",
    "url_transport",
]

_INVISIBLE = pattern(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HELPER = pattern(r"[A-Za-z0-9+.-]*::")
_SCP = pattern(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?![:/-])\S+\Z")
_SCP_ROOTED = pattern(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:/(?!/)\S*\Z")
_HOST = pattern(r"[A-Za-z0-9][A-Za-z0-9.-]*\Z|\[[0-9A-Fa-f:.]+\]\Z")
_PORTS = {"http": 80, "https": 443, "ssh": 22}
_COMMIT = pattern(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_FORMS = 'write "https://…", "ssh://…", "user@host:path", "file:///…", "/path" or "./path"'


def url_transport(url: str) -> str:
    """Return ``http``, ``https``, ``ssh`` or ``file``: how git reaches *url*; ``""`` when it is none of these.

    >>> url_transport("git@example.org:team/app.git"), url_transport("../app"), url_transport("ext::sh -c id")
    ('ssh', 'file', '')
    """
    scheme, found, _ = url.partition("://")
    if found:
        return scheme if scheme in {"http", "https", "ssh", "file"} else ""
    if url.startswith(("/", "./", "../")):
        return "file"
    return "ssh" if _SCP.match(url) or _SCP_ROOTED.match(url) else ""


def url_problem(url: str) -> str:
    """Return why a checkout may not come from *url*, ``""`` when it may."""
    if not url or url.startswith("-"):
        return f"this is no address of a repository; {_FORMS}"
    if _INVISIBLE.search(url):
        return "an address cannot hold spaces, line breaks or control characters; percent-encode them in a URL"
    if len(url.encode()) > 2000:
        return "an address can have at most 2000 bytes"
    if _HELPER.match(url):
        return f'an address with "::" would start a program of its choice; {_FORMS}'
    transport = url_transport(url)
    if not transport:
        if url.startswith(("git://", "ftp://", "ftps://")):
            return "this kind of address says nothing about who answers; use https or ssh"
        return f'a path in the project begins with "./"; {_FORMS}'
    if "://" not in url:
        return ""
    return _url_problem(url, transport)


def _url_problem(url: str, transport: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"this is not a URL: {error}"
    if _INVISIBLE.search(unquote(url).replace(" ", "")):
        return "an address cannot hold control characters, percent-encoded or not"
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        return 'the address of a repository has no "?" or "#"; a branch or tag goes into "ref"'
    if transport == "file":
        wrong = parts.netloc not in {"", "localhost"} or not parts.path.startswith("/")
        return 'a file URL names a folder of this machine: "file:///path"' if wrong else ""
    if not url.isascii():
        return "a URL is plain ASCII; percent-encode other characters"
    if parts.password is not None or (transport != "ssh" and parts.username is not None):
        return 'an address is shown to people; it cannot hold a name or password: use "username" and "password"'
    host = parts.netloc.rpartition("@")[2]
    if host.endswith(f":{port}"):
        host = host[: -len(f":{port}")]
    if not _HOST.match(host):
        return f"{transport}:// is followed by the name of a host"
    if parts.username is not None and not re.match(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z", parts.username):
        return "the user name in the address must be plain letters, digits, dots, dashes or underscores"
    if port == 0:
        return "port 0 cannot be asked"
    return "" if parts.path.strip("/") else "the address names a host but no repository on it"


def url_port(url: str) -> int:
    """Return the TCP port of *url*, an http or https one without problem."""
    parts = urlsplit(url)
    return parts.port or _PORTS[parts.scheme]


def url_origin(url: str) -> str:
    """Return scheme, host and port of *url*, an http or https one without problem: who may be told its password.

    >>> url_origin("https://example.org:8443/team/app.git")
    'https://example.org:8443'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def stays_inside(url: str) -> bool:
    """Return whether *url* is a path that cannot lead out of the project folder but by a link."""
    return url.startswith("./") and not posixpath.normpath(url).startswith("..")


def is_commit(ref: str) -> bool:
    """Return whether *ref* is a whole commit name (SHA-1 or SHA-256, lower case)."""
    return _COMMIT.match(ref) is not None


def ref_problem(ref: str) -> str:
    """Return why *ref* cannot be the name of a branch, tag or commit, ``""`` when it can: git-check-ref-format(1)."""
    if not ref or ref.startswith("-"):
        return "this is no branch, tag or commit"
    if ref in {"HEAD", "@"}:
        return 'leave "ref" out to get the branch that the remote itself points to'
    if len(ref.encode()) > 240:
        return "the name of a branch or tag can have at most 240 bytes"
    parts = ref.split("/")
    odd = (
        re.search(r"[\x00-\x20\x7f-\x9f~^:?*\[\\\u2028\u2029\ud800-\udfff]|\.\.|@\{", ref)
        or ref.endswith(".")
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    if odd:
        return "git allows no such name of a branch or tag (see git-check-ref-format)"
    if ref.startswith("refs/") and len(parts) < 3:
        return 'a whole name looks like "refs/heads/main"'
    return ""
