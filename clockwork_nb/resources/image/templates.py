"""What becomes of a declared image: exports, drift, actions, scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.containers import (
    ADDRESS_LABEL,
    CONTEXT_LABEL,
    ENGINE_PATH,
    ENGINE_VARIABLES,
    ENGINES,
    PROJECT_LABEL,
    SPEC_LABEL,
    WORKSPACE_LABEL,
    require_answer,
    spec_digest,
)
from clockwork_nb.resources.image import context
from clockwork_nb.resources.scripts import INSIDE, data_artifact, quote, require_known, safe_operand, sh_script

__all__ = ["actions", "compile_action", "describe", "drift", "exports", "image_spec", "pending", "risks"]

_BUILT_WITH: Final = ("context", "dockerfile", "build_args", "target", "network")
_BUILD_TIMEOUT_S: Final = 3600


def image_spec(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *config* goes into the image, besides the files of its context."""
    return {name: config.get(name) for name in _BUILT_WITH}


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``tag``, and ``id`` and ``digest``, which are known only after apply."""
    later = Unknown("known after apply")
    tags = config["tags"]
    return {**config, "tag": tags if isinstance(tags, Unknown) else tags[0], "id": later, "digest": later}


def describe(config: Mapping[str, Any]) -> str:
    """Return the first tag and where it is built from."""
    tags = config.get("tags")
    name = tags[0] if isinstance(tags, (list, tuple)) and tags else "a name known after apply"
    return f"{name} from {config.get('context')}"


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return ``id`` when it is gone, ``image`` when another one has its name, ``tags`` when a name is missing."""
    if observed.exists is None:
        return {}
    seen = observed.attributes
    tags = list(config.get("tags") or ())
    if not observed.exists:
        return {"id": (tags[0] if tags else None, None)}
    expected = spec_digest(image_spec(config))
    if expected and seen.get("spec") != expected:
        return {"image": ("as it was built", "built with something else")}
    missing = sorted(set(tags) - set(seen.get("named") or tags))
    return {"tags": (tags, [t for t in tags if t not in missing])} if missing else {}


def pending(config: Mapping[str, Any] | None, observed: Observation) -> Sequence[tuple[str, Any, Any, bool]]:
    """Return the context's digest as a change when its files are not those that the image was built from."""
    now, then = observed.attributes.get("context_digest"), observed.attributes.get("built_from")
    if config is None or not observed.exists or not now or not then or now == then:
        return ()
    return (("context", f"sha256:{then[:12]}", f"sha256:{now[:12]}", False),)


def actions(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None = None,
) -> Sequence[ActionSpec]:
    """Return ``build_image``, ``remove_image``, or both: names that are not wanted any more go, and so does what a
    replacement replaces.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, the engine was asked and hangs.
        InvalidInputError: E_INVALID_INPUT_SCHEMA, there is nothing to build from.
    """
    if change in {"create", "update", "replace", "delete"}:
        require_answer(observed)
    if change in {"create", "update", "replace"} and observed is not None and observed.attributes.get("missing"):
        raise InvalidInputError(str(observed.attributes["missing"]), hint=str(observed.attributes["hint"]))
    specs = []
    before = list((recorded or {}).get("tags") or ())
    # Built anew by the same engine, the names move once the new image is there: a build that fails loses nothing.
    same_engine = recorded is not None and config is not None and config["engine"] == recorded["engine"]
    if recorded is not None and (change == "delete" or (change == "replace" and not same_engine)):
        specs.append(_removal(recorded["engine"], before))
    if change in {"create", "update", "replace"} and config is not None:
        args = {"engine": config["engine"], "tags": config["tags"], **image_spec(config)}
        if change == "replace":
            args["anew"] = True
        specs.append(ActionSpec("build_image", args, timeout_s=_BUILD_TIMEOUT_S, idempotent=True))
        wanted = config["tags"] if isinstance(config["tags"], (list, tuple)) else before
        dropped = [t for t in before if t not in wanted]
        if change != "create" and same_engine and dropped and recorded is not None:
            specs.append(_removal(recorded["engine"], dropped))
    return tuple(specs)


def _removal(engine: str, tags: Sequence[str]) -> ActionSpec:
    return ActionSpec("remove_image", {"engine": engine, "tags": list(tags)}, timeout_s=300, idempotent=True)


def risks(change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation | None) -> Sequence[str]:
    """Return ``network`` for a build that may use it, ``destroy`` for a removal, ``overwrite`` where a name is taken."""
    out = ["destroy"] if change in {"delete", "replace"} else []
    if config is not None and change in {"create", "update", "replace"}:
        if config["network"] is not False:
            out.append("network")
        if change == "create" and observed is not None and observed.attributes.get("taken"):
            out.append("overwrite")
    return tuple(out)


# --- scripts ------------------------------------------------------------------------------------------------------


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown action or value, or no engine was decided.
    """
    require_known(action)
    if action.args["engine"] not in ENGINES:
        raise InvalidInputError(
            f"it was not decided which container engine builds {action.address}",
            hint='Write engine = "podman" or engine = "docker".',
        )
    if action.name == "build_image":
        return _build(action)
    if action.name == "remove_image":
        return _remove(action)
    raise InvalidInputError(f'an image has no action "{action.name}"')


_PLACE: Final = 'place=$(cd -P -- "${CW_WORKSPACE:-.clockwork}" && pwd -P)'


@lru_cache(maxsize=1)
def _reader() -> str:
    """Return the text of the module that reads a context: the step runs the same code as whoever looks."""
    return Path(context.__file__).read_text(encoding="utf-8")


def _build(action: Action) -> CompiledStep:
    args, engine = action.args, action.args["engine"]
    reader, _ = data_artifact(action, "context.py", _reader(), "tells what a context holds, as a digest")
    words = [f"--tag {quote(tag)}" for tag in args["tags"]]
    for label, variable in (
        (PROJECT_LABEL, "project"),
        (WORKSPACE_LABEL, "place"),
        (ADDRESS_LABEL, "CW_ADDRESS"),
        (SPEC_LABEL, "CW_SPEC"),
        (CONTEXT_LABEL, "digest"),
    ):
        words.append(f'--label {label}="${variable}"')
    words += [f"--build-arg {quote(f'{name}={value}')}" for name, value in args["build_args"].items()]
    words += [f"--target {quote(args['target'])}"] if args["target"] is not None else []
    if args["network"] is False:
        # docker cannot be told not to fetch a base image; podman can.
        words += ["--network none", *(["--pull=never"] if engine == "podman" else [])]
    lines = " \\\n    ".join(words)
    body = f"""\
PATH={ENGINE_PATH}
{INSIDE}
{_PLACE}
if [ ! -d "$CW_CONTEXT" ]; then
    echo "the context $CW_CONTEXT is not there; declare it as a directory, or make it" >&2
    exit 1
fi
stay_inside "$CW_CONTEXT"
context=$(cd -P -- "$CW_CONTEXT" && pwd -P)
case "$context/" in
    "$project"/.clockwork/*) echo "$CW_CONTEXT leads to the tool's own folder" >&2; exit 1 ;;
esac

# What it is built from, before it is built: a file that changes meanwhile makes the next plan build again.
read_context=$(python3 -I "$CW_READER" "$context" "$CW_DOCKERFILE")
dockerfile=$(printf '%s\\n' "$read_context" | head -n 1)
digest=$(printf '%s\\n' "$read_context" | tail -n 1)

{engine} build \\
    --file "$context/$dockerfile" \\
    --iidfile "$TMPDIR/image-id" \\
    ${{CW_ANEW:+--no-cache}} \\
    {lines} \\
    "$context"
echo "built $(cut -c1-19 "$TMPDIR/image-id")"
"""
    script = sh_script(action, f"build the image {args['tags'][0]} from {args['context']}", body)
    return CompiledStep(
        (script, reader),
        ("sh", script.path),
        vars={
            "CW_ADDRESS": action.address,
            "CW_CONTEXT": safe_operand(str(args["context"])),
            "CW_DOCKERFILE": str(args["dockerfile"] or ""),
            "CW_SPEC": spec_digest(image_spec(args)),
            # Asked for anew, every step of it is done again.
            "CW_ANEW": "1" if args.get("anew") else "",
        },
        data={"CW_READER": reader.path},
        cls="host",
        network=args["network"] is not False,
        environment=ENGINE_VARIABLES,
    )


def _remove(action: Action) -> CompiledStep:
    args, engine = action.args, action.args["engine"]
    tags = " ".join(quote(tag) for tag in args["tags"])
    body = f"""\
PATH={ENGINE_PATH}
project=$(pwd -P)
{_PLACE}
left=
for tag in {tags}; do
    label=$({engine} image inspect --format '{{{{index .Config.Labels "{ADDRESS_LABEL}"}}}} {{{{index .Config.Labels "{PROJECT_LABEL}"}}}}' "$tag" 2> /dev/null) || continue
    maker=$({engine} image inspect --format '{{{{index .Config.Labels "{WORKSPACE_LABEL}"}}}}' "$tag")
    if [ "$label" != "$CW_ADDRESS $project" ] || [ "${{maker:-$place}}" != "$place" ]; then
        left="$left $tag (not of $CW_ADDRESS in this project)"
    elif ! said=$({engine} rmi "$tag" 2>&1); then
        left="$left $tag ($(printf '%s\\n' "$said" | tail -n 1))"
    fi
done
if [ -n "$left" ]; then
    echo "left in place:$left"
else
    echo "removed"
fi
"""
    script = sh_script(action, f"remove the image {args['tags'][0] if args['tags'] else ''}", body)
    return CompiledStep(
        (script,),
        ("sh", script.path),
        vars={"CW_ADDRESS": action.address},
        cls="host",
        environment=ENGINE_VARIABLES,
    )
