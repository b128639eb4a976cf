"""What container engines have in common: which one is used, their environment, our labels, names and sizes. Pure.

Both engines are driven by their command line, with lists of words. The two command lines agree in everything that is
used here, so a script names its engine once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.canonical import digest
from clockwork_nb.errors import AdapterFailedError, InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Observation
from clockwork_nb.resources.scripts import sealed
from clockwork_nb.secrets import Sensitive

__all__ = [
    "ADDRESS_LABEL",
    "ASIDE_ENDING",
    "CONTEXT_LABEL",
    "ENGINES",
    "ENGINE_PATH",
    "ENGINE_VARIABLES",
    "NO_ENGINE_HINT",
    "PROJECT_LABEL",
    "SCRIPT_LABEL",
    "SPEC_LABEL",
    "WORKSPACE_LABEL",
    "chosen_engine",
    "container_name",
    "in_container",
    "is_image_id",
    "parse_size",
    "require_answer",
    "silent_engine_hint",
    "spec_digest",
]

ENGINES: Final = ("podman", "docker")

ENGINE_VARIABLES: Final = (
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINER_CONNECTION",
    "CONTAINER_HOST",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "REGISTRY_AUTH_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
)
"""The variables of the person that say which engine is meant and where it keeps its things. Steps get them as they are
when the plan is built (they are in the bundle and so in what is approved); whoever looks uses the same."""

ENGINE_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""Where engines and what they start (network tools, runtimes) are looked for."""

PROJECT_LABEL: Final = "clockwork.project"
ADDRESS_LABEL: Final = "clockwork.address"
SPEC_LABEL: Final = "clockwork.spec"
SCRIPT_LABEL: Final = "clockwork.script"
CONTEXT_LABEL: Final = "clockwork.context"
WORKSPACE_LABEL: Final = "clockwork.workspace"
"""The folder of the workspace that made it: two workspaces of one project have the same addresses."""

ASIDE_ENDING: Final = ".clockwork-old"
"""What the name of a container ends in while another one takes its place."""

_SIZE = pattern(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\Z", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_IMAGE_ID = pattern(r"(?:sha256:)?[0-9a-f]{64}\Z")

NO_ENGINE_HINT: Final = (
    "Install podman (Debian, Ubuntu, Fedora: the package podman) or Docker, or set DOCKER_HOST to one that runs "
    'elsewhere; without an engine a service can be a supervised process: give "command" and no "image".'
)


def chosen_engine(wanted: str, facts: Mapping[str, Any], *, what: str) -> str:
    """Return the engine to use: ``podman`` or ``docker``.

    Args:
        wanted: ``auto``, ``podman`` or ``docker``.
        facts: the document of this machine's facts; its ``engine`` is ``podman 4``, ``docker 28``, or ``process`` and, in
            parentheses, which engine is installed but does not answer.
        what: who asks, for the message ("a service with an image").

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, there is no engine, or it does not answer, or not the wanted one; the
            hint says what to do.
    """
    here, _, more = str(facts.get("engine", "process")).partition(" ")
    if here not in ENGINES and more:
        silent = more.strip("()")
        hint = f"{what} needs it. {silent_engine_hint(silent.partition(' ')[0])}"
        raise InvalidInputError(silent, hint=hint)
    if here not in ENGINES:
        raise InvalidInputError(f"{what} needs a container engine", hint=f"There is none here. {NO_ENGINE_HINT}")
    if wanted not in {"auto", here}:
        raise InvalidInputError(
            f"the container engine here is not {wanted}",
            hint=f'{what} asks for {wanted}, and {facts["engine"]} is what is here. Install {wanted}, or write engine = "auto". DOCKER_HOST decides first, when it is set.',
        )
    return here


def silent_engine_hint(engine: str) -> str:
    """Return what to do about *engine*, which is installed but gives no answer."""
    return (
        f"It is installed and hangs. Run {engine} ps by hand: when that hangs too, end the {engine} process that holds its "
        "lock, or restart its daemon; then try again."
    )


def require_answer(observed: Observation | None) -> None:
    """Return when the engine could be asked about *observed*, or nobody asked: without it there is nothing to plan.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, it hangs.
    """
    if observed is not None and observed.exists is None and observed.attributes.get("problem"):
        raise AdapterFailedError(str(observed.attributes["problem"]), hint=str(observed.attributes["hint"]))


def in_container(engine: Any, image: Any) -> bool:
    """Return whether a service with this engine and image runs in a container."""
    return engine in ENGINES or (engine == "auto" and image is not None)


def container_name(name: Any, address: str) -> str:
    """Return the container's name: *name* when one is given, else the resource's own.

    >>> container_name(None, "service.web"), container_name(None, 'service.web["a/b"]')
    ('web', 'web-a-b-40e80a25')
    """
    return name if isinstance(name, str) else slug(address).removeprefix("service.")


def is_image_id(image: Any) -> bool:
    """Return whether *image* names an image by its id, which no registry can be asked for."""
    return isinstance(image, str) and _IMAGE_ID.match(image) is not None


def parse_size(text: str) -> int:
    """Return the bytes of *text*; ValueError when it is none. Units are powers of 1024, as both engines read them.

    >>> parse_size("64m"), parse_size("1.5g"), parse_size("1024")
    (67108864, 1610612736, 1024)
    """
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(text)
    return int(float(found.group(1)) * 1024 ** _POWER[found.group(2).lower()])


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Return the digest of *spec* that a container or image is labelled with, ``""`` while something is unknown.

    Secrets are in it by name only: who can read labels must not be able to guess them.
    """
    plain = _plain(spec)
    return "" if plain is None else digest(plain)


class _UnknownInside(Exception):
    """Something is not known yet."""


def _plain(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return {name: _leaf(value) for name, value in spec.items() if value not in (None, [], {}, False)}
    except _UnknownInside:
        return None


def _leaf(value: Any) -> Any:
    if isinstance(value, Unknown):
        raise _UnknownInside
    if isinstance(value, Sensitive) or sealed(value):
        return {"secret": True}
    if isinstance(value, Mapping):
        return {k: _leaf(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_leaf(v) for v in value]
    return value
