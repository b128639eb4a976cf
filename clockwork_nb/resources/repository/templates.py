"""What becomes of a declared checkout: exports, drift, actions, steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, StepClass
from clockwork_nb.resources.repository.scripts import FETCH, REMOVE
from clockwork_nb.resources.repository.urls import stays_inside, url_origin, url_port, url_transport
from clockwork_nb.resources.scripts import parent, require_known, safe_operand, sh_script
from clockwork_nb.secrets import Sensitive

__all__ = ["actions", "actions_observed", "compile_action", "describe", "drift", "exports", "replaces", "risks"]

_CHECKOUT = ("url", "ref", "path", "submodules")
"""The attributes that say what is checked out; the others only say how it is fetched."""


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``commit``, which is known only once it is checked out."""
    return {**config, "commit": Unknown("known after apply")}


def replaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return ``path`` when it differs, and ``submodules`` when they are no longer wanted: they would stay behind."""
    out = {"path"} if before.get("path") != after["path"] else set()
    if before.get("submodules") is True and after["submodules"] is False:
        out.add("submodules")
    return frozenset(out)


def describe(config: Mapping[str, Any]) -> str:
    """Return the path and what is checked out there."""
    ref = config.get("ref")
    return f"{config.get('path', '')} at {ref}" if isinstance(ref, str) else str(config.get("path", ""))


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return what differs: ``path``, ``url``, ``commit``, ``dirty``, or ``ref`` when the last fetch counts as old."""
    if observed.exists is None:
        return {}
    seen = observed.attributes
    if not observed.exists:
        return {"path": (config.get("path"), None)}
    if seen.get("kind", "checkout") != "checkout":
        return {"path": (config.get("path"), seen["kind"])}
    out: dict[str, tuple[Any, Any]] = {}
    if seen.get("same_url") is False:
        out["url"] = (config.get("url"), seen.get("remote"))
    if seen.get("fetched") is not None and seen.get("commit") != seen["fetched"]:
        out["commit"] = (seen["fetched"], seen.get("commit"))
    if seen.get("dirty"):
        out["dirty"] = (False, True)
    if seen.get("unfinished"):
        out["unfinished"] = (False, True)
    if seen.get("stale"):
        out["ref"] = (config.get("ref"), "not fetched lately")
    return out


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*; none when only the way of fetching changed."""
    specs: list[ActionSpec] = []
    if change in {"delete", "replace"} and recorded is not None:
        args = {"path": recorded["path"], "url": recorded["url"]}
        specs.append(ActionSpec("remove_repo", args, timeout_s=300, idempotent=True))
    if config is None or change not in {"create", "update", "replace"}:
        return specs
    if change == "update" and recorded is not None and all(config[n] == recorded.get(n) for n in _CHECKOUT):
        return ()
    args = {name: config[name] for name in (*_CHECKOUT, "depth", "username", "password")}
    args["ours"] = change == "update"
    timeout = config["timeout"]
    if isinstance(timeout, Unknown):
        args["timeout"], timeout = timeout, 1800  # in the arguments, so that the step waits for it
    specs.append(ActionSpec("fetch_repo", args, timeout_s=timeout, idempotent=True))
    return specs


def actions_observed(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
) -> Sequence[ActionSpec]:
    """Return the `actions`; over work that is in no commit an update stops, and its reason says so in the plan."""
    specs = actions(change, config, recorded)
    seen = {} if observed is None else observed.attributes
    if change != "update" or not seen.get("dirty") or seen.get("unfinished"):
        return specs
    return [replace(spec, reason="it stops until what is in no commit is settled") for spec in specs]


def risks(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
) -> Sequence[str]:
    """Return the risk classes of *change*."""
    if change == "delete":
        return ("destroy",)
    if config is None or change not in {"create", "update", "replace"}:
        return ()
    if change == "update" and recorded is not None and all(config[n] == recorded.get(n) for n in _CHECKOUT):
        return ()
    out = set()
    if change == "replace":
        out.add("destroy")
    if change == "update" and recorded is not None and recorded.get("url") != config["url"]:
        # Another history is another checkout: then the ignored files of the old one go with it.
        out.add("overwrite")
    url = config["url"]
    if not isinstance(url, str) or url_transport(url) != "file":
        out.add("network")
    return tuple(sorted(out))


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*."""
    require_known(action)
    path, url = str(action.args["path"]), str(action.args["url"])
    values = {"CW_PATH": safe_operand(path), "CW_URL": url}
    if action.name == "remove_repo":
        script = sh_script(action, f"remove the checkout {path}, unless something in it would be lost", REMOVE)
        # With the slash too: a folder can only be removed by who may write in the one around it.
        return CompiledStep((script,), ("sh", script.path), vars=values, write=(path, f"{path}/"))
    if action.name != "fetch_repo":
        raise InvalidInputError(f'a repository has no action "{action.name}"')
    return _fetch(action, path, url, values)


def _fetch(action: Action, path: str, url: str, values: dict[str, str]) -> CompiledStep:
    args, transport = action.args, url_transport(url)
    submodules = bool(args["submodules"])
    values |= {
        "CW_PARENT": safe_operand(parent(path)),
        "CW_REF": args["ref"] or "",
        "CW_DEPTH": str(args["depth"] or ""),
        "CW_SUBMODULES": "1" if submodules else "0",
        "CW_OURS": "1" if args["ours"] else "0",
        # Submodules may come from the network whatever the checkout comes from, from this machine only if it does.
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh" if transport == "file" else "http:https:ssh",
    }
    secrets: dict[str, Any] = {}
    secret_vars: dict[str, str] = {}
    password = args["password"]
    if isinstance(password, Sensitive):
        secret = f"{action.address}:password"
        secrets[secret], secret_vars["CW_PASSWORD"] = password.value, secret
        values["CW_ORIGIN"], values["CW_USERNAME"] = url_origin(url), args["username"] or "git"
    network: bool | tuple[int, ...] = submodules or transport == "ssh"
    if not network and transport in {"http", "https"}:
        network = (url_port(url),)
    script = sh_script(action, f"check out {url} into {path}", FETCH)
    return CompiledStep(
        (script,),
        ("sh", script.path),
        vars=values,
        secret_vars=secret_vars,
        secrets=secrets,
        write=(path, _beside(path)),
        network=network,
        cls=_step_class(url, transport),
        environment=("SSH_AUTH_SOCK",) if transport == "ssh" else (),
    )


def _beside(path: str) -> str:
    """Return a name beside *path* that nobody ever makes: it stands for the right to build the checkout there."""
    return f"{parent(path)}/.cw-{path.rpartition('/')[2]}"


def _step_class(url: str, transport: str) -> StepClass:
    # ssh needs the person's keys, and a path outside of the project needs the right to read there.
    confined = transport in {"http", "https"} or (transport == "file" and stays_inside(url))
    return "confined" if confined else "host"
