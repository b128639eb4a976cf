"""The checks that services and ``check`` resources share: HTTP, TCP, a file. Pure: what is returned runs elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Action, ActionSpec, CompiledStep
from clockwork_nb.resources.scripts import python_script, require_known

__all__ = ["PROBES", "compile_probe", "probe_action", "url_port", "url_problem"]

PROBES = frozenset({"verify_http", "verify_tcp", "verify_file"})

_TRIES = """\
def main():
    retries, interval = int(os.environ["CW_RETRIES"]), float(os.environ["CW_INTERVAL"])
    for number in range(1, retries + 1):
        good, seen = probe()
        if good:
            print(f"{seen} after {number} {'try' if number == 1 else 'tries'}")
            return
        if number < retries:
            time.sleep(interval)
    print(f"{seen}, after {retries} {'try' if retries == 1 else 'tries'}", file=sys.stderr)
    sys.exit(1)


main()
"""

_HTTP = f'''\
import http.client
import os
import sys
import time
import urllib.error
import urllib.request


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: it is not followed."""

    def redirect_request(self, *args):
        return None


def probe():
    url, expected = os.environ["CW_URL"], int(os.environ["CW_EXPECT_STATUS"])
    wanted = os.environ.get("CW_CONTAINS", "")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}), NoRedirect)
    try:
        with opener.open(url, timeout=float(os.environ["CW_TIMEOUT"])) as answer:
            status, body = answer.status, answer.read(1 << 20) if wanted else b""
    except urllib.error.HTTPError as answer:
        with answer:
            status, body = answer.code, answer.read(1 << 20) if wanted else b""
    except (OSError, http.client.HTTPException) as problem:
        return False, f"no answer from {{url}}: {{problem}}"
    if status != expected:
        return False, f"{{url}} answered {{status}}, expected {{expected}}"
    if wanted.encode() not in body:
        return False, f"{{url}} answered {{status}} without the expected text"
    return True, str(status)


{_TRIES}'''

_TCP = f"""\
import os
import socket
import sys
import time


def probe():
    host, port = os.environ["CW_HOST"], int(os.environ["CW_PORT"])
    try:
        socket.create_connection((host, port), timeout=float(os.environ["CW_TIMEOUT"])).close()
    except OSError as problem:
        return False, f"no connection to {{host}} port {{port}}: {{problem}}"
    return True, f"port {{port}} accepts connections"


{_TRIES}"""

_FILE = f"""\
import os
import re
import sys
import time


def probe():
    path, pattern = os.environ["CW_PATH"], os.environ.get("CW_PATTERN")
    if pattern is None:
        there = os.path.isfile(path)
        return there, f"{{path}} is there" if there else f"{{path}} is not there or no file"
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            found = re.search(pattern, stream.read(64 << 20), re.MULTILINE)
    except OSError as problem:
        return False, f"{{path}} cannot be read: {{problem.strerror}}"
    return found is not None, f"{{path}} matches" if found else f"{{path}} does not match {{pattern!r}}"


{_TRIES}"""


def url_problem(url: str) -> str:
    """Return why *url* cannot be checked, ``""`` when it can: http or https, a host, no user name, nothing invisible."""
    if any(ord(c) <= 32 or ord(c) >= 127 for c in url):
        return "a URL is plain ASCII without spaces; percent-encode other characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"this is not a URL: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return 'a URL starts with "http://" or "https://" and a host'
    if port == 0:
        return "port 0 cannot be asked"
    if parts.username is not None or parts.password is not None:
        return "a URL is shown to people; it cannot hold a user name or password"
    return ""


def url_port(url: str) -> int:
    """Return the TCP port of *url* (one without problem)."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def probe_action(name: str, args: Mapping[str, Any]) -> ActionSpec:
    """Return the action *name* with *args*; its timeout leaves room for every try."""
    tries = args["retries"] * (args["interval"] + args.get("timeout", 0))
    limit = 30 + math.ceil(tries) if isinstance(tries, (int, float)) else 600
    return ActionSpec(name, args, timeout_s=limit, idempotent=True)


def compile_probe(action: Action) -> CompiledStep:
    """Return the step of one of `PROBES`. It may connect to its own target's port and nowhere else."""
    require_known(action)
    args = action.args
    values = {"CW_RETRIES": str(args["retries"]), "CW_INTERVAL": str(args["interval"])}
    network: tuple[int, ...] = ()
    if action.name == "verify_http":
        script = python_script(action, f"ask {args['url']} until it answers {args['expect_status']}", _HTTP)
        values |= {"CW_URL": args["url"], "CW_EXPECT_STATUS": str(args["expect_status"])}
        values["CW_TIMEOUT"] = str(args["timeout"])
        if args.get("contains"):
            values["CW_CONTAINS"] = args["contains"]
        network = (url_port(args["url"]),)
    elif action.name == "verify_tcp":
        script = python_script(action, f"connect to {args['host']} port {args['port']}", _TCP)
        values |= {"CW_HOST": args["host"], "CW_PORT": str(args["port"]), "CW_TIMEOUT": str(args["timeout"])}
        network = (args["port"],)
    elif action.name == "verify_file":
        script = python_script(action, f"look at the file {args['path']}", _FILE)
        values["CW_PATH"] = args["path"]
        if args.get("pattern") is not None:
            values["CW_PATTERN"] = args["pattern"]
    else:
        raise InvalidInputError(f'there is no check "{action.name}"')
    return CompiledStep((script,), ("python3", "-I", script.path), vars=values, network=network or False)
