"""The checks that services and ``check`` resources share: HTTP and TCP. Pure: what is returned runs elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, CompiledStep
from clockwork_nb.resources.rules import Refused
from clockwork_nb.resources.scripts import python_script, require_known
from clockwork_nb.secrets import Sensitive

__all__ = ["PROBES", "TRIES", "compile_probe", "http_url", "probe_action", "probe_step", "url_port", "url_problem"]

PROBES = frozenset({"verify_http", "verify_tcp"})

TRIES = """\
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
"""The end of every checking script. It calls ``probe()``, which returns whether it holds, and in one line what was seen
and, when it does not hold, what was expected."""

_HTTP = f'''\
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: it is not followed."""

    def redirect_request(self, *args):
        return None


def header(value):
    """A header's value, or what is in the file it is to be read from."""
    if isinstance(value, str):
        return value
    with open(os.environ[value["file"]], encoding="utf-8") as stream:
        return stream.read()


def probe():
    url, expected = os.environ["CW_URL"], int(os.environ["CW_EXPECT_STATUS"])
    wanted, most = os.environ.get("CW_CONTAINS", ""), os.environ.get("CW_MAX_MS")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}), NoRedirect)
    headers = {{name: header(value) for name, value in json.loads(os.environ.get("CW_HEADERS", "{{}}")).items()}}
    request = urllib.request.Request(url, headers=headers, method=os.environ.get("CW_METHOD", "GET"))
    began = time.monotonic()
    try:
        with opener.open(request, timeout=float(os.environ["CW_TIMEOUT"])) as answer:
            status, body = answer.status, answer.read(1 << 20) if wanted or most else b""
    except urllib.error.HTTPError as answer:
        with answer:
            status, body = answer.code, answer.read(1 << 20) if wanted or most else b""
    except ValueError:
        return False, f"{{url}} was not asked: a header cannot be sent as it is"
    except (OSError, http.client.HTTPException) as problem:
        return False, f"no answer from {{url}}: {{problem}}"
    took = round((time.monotonic() - began) * 1000)
    if status != expected:
        return False, f"{{url}} answered {{status}}, expected {{expected}}"
    if wanted.encode() not in body:
        return False, f"{{url}} answered {{status}} without the expected text"
    if most and took > int(most):
        return False, f"{{url}} answered in {{took}} ms, expected at most {{most}} ms"
    return True, f"{{status}} in {{took}} ms" if most else str(status)


{TRIES}'''

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


{TRIES}"""

_UDP = f"""\
import os
import socket
import sys
import time


def probe():
    # UDP knows no connection: a port that nobody has is refused, silence says that nothing refuses.
    host, port = os.environ["CW_HOST"], int(os.environ["CW_PORT"])
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as client:
            client.settimeout(min(1.0, float(os.environ["CW_TIMEOUT"])))
            client.connect(address)
            client.send(b"")
            client.recv(1)
    except TimeoutError:
        return True, f"UDP port {{port}} is not refused"
    except OSError as problem:
        return False, f"UDP port {{port}} of {{host}} is not there: {{problem}}, expected somebody to listen"
    return True, f"UDP port {{port}} answers"


{TRIES}"""


def http_url(value: str) -> str:
    """Refuse what cannot be asked over HTTP."""
    problem = url_problem(value)
    if problem:
        raise Refused("url", problem)
    return value


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
    retries, interval, timeout = args["retries"], args["interval"], args.get("timeout", 0)
    if any(isinstance(number, Unknown) for number in (retries, interval, timeout)):
        limit = 600  # such a step is never carried out
    else:
        limit = 30 + math.ceil(retries * (interval + timeout))
    return ActionSpec(name, args, timeout_s=limit, idempotent=True)


def compile_probe(action: Action) -> CompiledStep:
    """Return the step of one of `PROBES`. It may connect to its own target's port and nowhere else."""
    require_known(action)
    args = action.args
    if action.name == "verify_http":
        return _http_step(action)
    if action.name != "verify_tcp":
        raise InvalidInputError(f'there is no check "{action.name}"')
    udp = args.get("protocol") == "udp"
    words = (
        f"look whether UDP port {args['port']} is refused" if udp else f"connect to {args['host']} port {args['port']}"
    )
    values = {"CW_HOST": args["host"], "CW_PORT": str(args["port"]), "CW_TIMEOUT": str(args["timeout"])}
    return probe_step(action, words, _UDP if udp else _TCP, values, network=(args["port"],))


def probe_step(
    action: Action,
    what: str,
    program: str,
    values: Mapping[str, str],
    *,
    network: tuple[int, ...] = (),
    secret_vars: Mapping[str, str] | None = None,
    secrets: Mapping[str, Any] | None = None,
) -> CompiledStep:
    """Return the step of a checking *program* (one that ends with `TRIES`), with its *values* as variables."""
    script = python_script(action, what, program)
    tries = {"CW_RETRIES": str(action.args["retries"]), "CW_INTERVAL": str(action.args["interval"])}
    return CompiledStep(
        (script,),
        ("python3", "-I", script.path),
        vars={**tries, **values},
        secret_vars=secret_vars or {},
        secrets=secrets or {},
        network=network or False,
    )


def _http_step(action: Action) -> CompiledStep:
    args = action.args
    values = {"CW_URL": args["url"], "CW_EXPECT_STATUS": str(args["expect_status"]), "CW_TIMEOUT": str(args["timeout"])}
    if args.get("contains"):
        values["CW_CONTAINS"] = args["contains"]
    if args.get("method", "GET") != "GET":
        values["CW_METHOD"] = args["method"]
    if args.get("max_ms") is not None:
        values["CW_MAX_MS"] = str(args["max_ms"])
    secret_vars: dict[str, str] = {}
    secrets: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for number, (name, value) in enumerate(sorted(args.get("headers", {}).items())):
        headers[name] = value
        if isinstance(value, Sensitive):
            variable, secret = f"CW_HEADER_{number}", f"{action.address}:header:{name}"
            headers[name], secret_vars[variable], secrets[secret] = {"file": variable}, secret, value.value
    if headers:
        values["CW_HEADERS"] = json.dumps(headers, sort_keys=True)
    what = f"ask {args['url']} until it answers {args['expect_status']}"
    if args.get("max_ms") is not None:
        what += f" within {args['max_ms']} ms"
    network = (url_port(args["url"]),)
    return probe_step(action, what, _HTTP, values, network=network, secret_vars=secret_vars, secrets=secrets)
