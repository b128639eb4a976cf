"""Where things are and how this run behaves: the environment variables, read once into one value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

__all__ = ["VARIABLES", "Settings", "cache_home", "load_settings"]

VARIABLES: Mapping[str, str] = {
    "CLOCKWORK_HOME": "the job store (default ~/.clockwork)",
    "CLOCKWORK_OUT": "packs and reports (default ./clockwork-out)",
    "CLOCKWORK_SIGNING_KEY_FILE": "the private key that signs packs (default: your own key, made at first use)",
    "XDG_CONFIG_HOME": "keys and trust live in $XDG_CONFIG_HOME/clockwork (default ~/.config/clockwork)",
    "XDG_CACHE_HOME": "built Go scripts are kept in $XDG_CACHE_HOME/clockwork (default ~/.cache/clockwork)",
    "CW_HEADLESS": "1: never show a widget or ask; stop with exit 4 at a decision",
    "CW_AUTO_APPROVE": "1: record approvals as 'auto' (no person approved)",
    "CW_CONFINEMENT": "the weakest tier that steps may run under: basic, standard or strict",
    "CW_SINGLE_HOST": "1: no other machine uses the job store, whatever file system it is on",
    "CW_JOB_SOCKET": "set by the notebook engine: the private socket of the job this kernel works for",
    "CW_JOB_ID": "set by the notebook engine: that job's id",
    "CW_VAR_name": "value of the variable 'name'",
}
"""Every variable this tool reads, with what it does; shown by ``clockwork doctor``."""


class Settings(Struct, frozen=True):
    """The settings of one run.

    Attributes:
        home: the job store's root; ``home_chosen`` says whether the user named it.
        out: output root for packs and reports, relative to the root of the workspace unless absolute.
        config: keys and trust file.
        signing_key_file: the private key that signs, None for the one in ``config``.
        cw_vars: variable values from ``CW_VAR_…``, by name.
    """

    home: Path
    home_chosen: bool
    out: Path
    config: Path
    headless: bool = False
    auto_approve: bool = False
    single_host: bool = False
    confinement: str = ""
    signing_key_file: Path | None = None
    job_socket: str = ""
    job_id: str = ""
    user: str = "unknown"
    cw_vars: Mapping[str, str] = field(default_factory=dict)

    def work_folder(self, job_id: str) -> Path:
        """Return the folder with the scripts and logs of a job made of commands; their own folder is not written to."""
        return self.home / "work" / job_id


def cache_home(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder for what can be made again, ``$XDG_CACHE_HOME/clockwork``; it need not exist."""
    env = os.environ if env is None else env
    chosen = env.get("XDG_CACHE_HOME", "")  # a relative one counts as not set
    base = Path(chosen) if chosen.startswith("/") else Path(env.get("HOME") or "~").expanduser() / ".cache"
    return base / "clockwork"


def _user(env: Mapping[str, str]) -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return env.get("USER") or f"uid {os.getuid()}"


def load_settings(env: Mapping[str, str] | None = None, *, who: bool = True) -> Settings:
    """Return the settings that *env* (default: the process's environment) asks for.

    *who* False leaves the user's name open: the system's name service may open a socket to tell it.
    """
    env = os.environ if env is None else env
    home_dir = Path(env.get("HOME") or "~").expanduser()
    chosen = env.get("CLOCKWORK_HOME", "")
    config_home = env.get("XDG_CONFIG_HOME", "")
    return Settings(
        home=Path(chosen).expanduser().absolute() if chosen else home_dir / ".clockwork",
        home_chosen=bool(chosen),
        out=Path(env.get("CLOCKWORK_OUT") or "clockwork-out"),
        # A relative XDG_CONFIG_HOME counts as not set (XDG Base Directory Specification).
        config=(Path(config_home) if config_home.startswith("/") else home_dir / ".config") / "clockwork",
        headless=env.get("CW_HEADLESS", "") not in {"", "0"},
        auto_approve=env.get("CW_AUTO_APPROVE", "") not in {"", "0"},
        single_host=env.get("CW_SINGLE_HOST", "") not in {"", "0"},
        confinement=env.get("CW_CONFINEMENT", ""),
        signing_key_file=Path(env["CLOCKWORK_SIGNING_KEY_FILE"]) if env.get("CLOCKWORK_SIGNING_KEY_FILE") else None,
        job_socket=env.get("CW_JOB_SOCKET", ""),
        job_id=env.get("CW_JOB_ID", ""),
        user=_user(env) if who else "unknown",
        cw_vars={k.removeprefix("CW_VAR_"): v for k, v in env.items() if k.startswith("CW_VAR_")},
    )
