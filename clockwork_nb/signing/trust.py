"""Who is trusted: the user's own keys, a file in the syntax of OpenSSH's ``allowed_signers``, and a revocation list.

``allowed_signers`` (ssh-keygen(1), ALLOWED SIGNERS) gives names, the use (``namespaces="clockwork-jobpack"``) and when
a key counts (``valid-after``, ``valid-before``). Validity is compared with the time of the last event of a job: that is
the exporter's word, so a stolen key can still sign what looks old. Against that there is ``revoked_keys``: a key in it
counts for nothing, whatever the time.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.fs import make_dirs, read_bytes, write_atomic
from clockwork_nb.patterns import pattern
from clockwork_nb.signing.keyfiles import key_path, keys_folder, own_key_names, read_signing_key
from clockwork_nb.signing.keys import SSH_TYPE, PublicKey, parse_public_key

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "NAMESPACE",
    "Standing",
    "Trust",
    "TrustStore",
    "TrustedKey",
    "allowed_signers_line",
    "append_line",
    "former_keys_file",
    "parse_date",
    "read_lines",
    "revocation_file",
    "revoke_key",
    "trust_file",
    "trust_key",
]

NAMESPACE: Final = "clockwork-jobpack"

_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z")
_FINGERPRINT: Final = pattern(r"SHA256:[A-Za-z0-9+/]{43}\Z")


def trust_file(config_dir: Path) -> Path:
    """Return where the trusted public keys of *config_dir* are listed."""
    return config_dir / "allowed_signers"


def revocation_file(config_dir: Path) -> Path:
    """Return where the keys are listed that count for nothing: a ``SHA256:…`` or a public key a line."""
    return config_dir / "revoked_keys"


def former_keys_file(config_dir: Path) -> Path:
    """Return where the own keys are listed that were replaced, each with the time until it counts."""
    return keys_folder(config_dir) / "former_keys"


class TrustedKey(Struct, frozen=True):
    """A key and the name (OpenSSH: principal) it is known by here; ``own`` when it is this user's.

    ``valid_after`` and ``valid_before`` (both included, aware) bound the times at which it counts.
    """

    name: str
    key: PublicKey
    own: bool = False
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``."""
        return self.key.fingerprint

    def counts_at(self, moment: datetime) -> bool:
        """Return whether the key counts at *moment*."""
        early = self.valid_after is not None and moment < self.valid_after
        late = self.valid_before is not None and moment > self.valid_before
        return not early and not late


class Standing(Struct, frozen=True):
    """What is known of a key. ``name`` is set when it is listed at all; ``limit`` is the bound that it misses."""

    status: Literal["trusted", "unknown", "revoked", "expired", "not yet valid"]
    name: str = ""
    limit: str = ""


class Trust(Protocol):
    """Who is trusted, as a value."""

    def standing_of(self, key: PublicKey, at: datetime) -> Standing:
        """Return what is known of *key* at the time *at* (aware)."""
        ...


class TrustStore(Struct, frozen=True):
    """Trusted keys, the user's own ones first: these count as trusted. ``path`` is the file that `trust` writes.

    ``revoked`` are fingerprints; a key among them is trusted by nobody.
    """

    keys: tuple[TrustedKey, ...] = ()
    path: Path | None = None
    revoked: frozenset[str] = frozenset()

    @classmethod
    def load(cls, config_dir: Path) -> TrustStore:
        """Return the trust of a configuration folder: own keys, its trust file (see `from_file`), its revocations.

        Raises:
            InvalidInputError, UnsafeOperationError: one of the files, as `from_file`.
        """
        own = [
            TrustedKey(name, read_signing_key(key_path(config_dir, name)).public, own=True)
            for name in own_key_names(config_dir)
        ]
        former = former_keys_file(config_dir)
        own += [
            TrustedKey(k.name, k.key, own=True, valid_after=k.valid_after, valid_before=k.valid_before)
            for k in _parse_trust(read_lines(former), former.name)
        ]
        found = cls.from_file(trust_file(config_dir))
        path = revocation_file(config_dir)
        return cls((*own, *found.keys), found.path, frozenset(_parse_revoked(read_lines(path), path.name)))

    @classmethod
    def from_file(cls, path: Path) -> TrustStore:
        """Return what the trust file *path* says; a missing file trusts nobody.

        Lines for other namespaces, or without one, are somebody else's business and are skipped. A line for our
        namespace that cannot be followed to the letter is an error: half-understood trust is no trust.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA with the line number.
            UnsafeOperationError: E_UNSAFE_OPERATION: others may write the file.
        """
        return cls(tuple(_parse_trust(read_lines(path), path.name)), path)

    def name_of(self, key: PublicKey) -> str | None:
        """Return the name *key* is trusted under at some time, None when it is not trusted or was revoked."""
        if key.fingerprint in self.revoked:
            return None
        return next((trusted.name for trusted in self.keys if trusted.key == key), None)

    def standing_of(self, key: PublicKey, at: datetime) -> Standing:
        """Return what is known of *key* at the time *at* (aware)."""
        listed = [trusted for trusted in self.keys if trusted.key == key]
        if key.fingerprint in self.revoked:
            return Standing("revoked", listed[0].name if listed else "")
        if not listed:
            return Standing("unknown")
        for trusted in listed:
            if trusted.counts_at(at):
                return Standing("trusted", trusted.name)
        first = listed[0]
        if first.valid_after is not None and at < first.valid_after:
            return Standing("not yet valid", first.name, _stamp(first.valid_after))
        assert first.valid_before is not None
        return Standing("expired", first.name, _stamp(first.valid_before))

    def trust(
        self,
        key: PublicKey,
        name: str,
        *,
        add: bool = False,
        valid_after: datetime | None = None,
        valid_before: datetime | None = None,
    ) -> TrustStore:
        """Return this trust with *key* under *name*, and write the trust file when there is one.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: a name that does not fit the file, one that has another key
                already and *add* is False, or a revoked key.
        """
        if key.fingerprint in self.revoked:
            raise InvalidInputError(
                f"{key.fingerprint} was revoked here and cannot be trusted",
                hint="If that was a mistake, take its line out of revoked_keys.",
            )
        new = TrustedKey(name, key, valid_after=valid_after, valid_before=valid_before)
        line = allowed_signers_line(new)
        same_name = [trusted for trusted in self.keys if trusted.name == name and not trusted.own]
        if new in same_name:
            return self
        if any(trusted.key != key for trusted in same_name) and not add:
            raise InvalidInputError(
                f"{name!r} is trusted with another key already ({same_name[0].fingerprint})",
                hint="If the signer really has two keys, say so with --add; otherwise choose another name.",
            )
        if self.path is not None:
            append_line(self.path, line)
        return TrustStore((*self.keys, new), self.path, self.revoked)


def trust_key(config_dir: Path, key: PublicKey, name: str, *, add: bool = False) -> TrustStore:
    """Trust *key* under *name* in the trust file of *config_dir* and return the new trust (see `TrustStore.trust`)."""
    return TrustStore.load(config_dir).trust(key, name, add=add)


def revoke_key(config_dir: Path, fingerprint: str) -> bool:
    """Put *fingerprint* on the revocation list of *config_dir*; return False when it was there already.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: not a ``SHA256:…`` fingerprint.
    """
    if not _FINGERPRINT.match(fingerprint):
        raise InvalidInputError(
            f"{fingerprint[:80]!r} is not a key's fingerprint", hint="It has the form SHA256:… (43 characters)"
        )
    path = revocation_file(config_dir)
    if fingerprint in _parse_revoked(read_lines(path), path.name):
        return False
    append_line(path, fingerprint)
    return True


def allowed_signers_line(trusted: TrustedKey) -> str:
    """Return the line of ``allowed_signers`` for *trusted*, without its end.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: a name that would break the line.
    """
    if not _NAME.match(trusted.name):
        raise InvalidInputError(
            f"{trusted.name!r} is not a name for a signer", hint="Use letters, digits and . _ @ + -"
        )
    options = [f'namespaces="{NAMESPACE}"']
    if trusted.valid_after is not None:
        options.append(f'valid-after="{_stamp(trusted.valid_after)}"')
    if trusted.valid_before is not None:
        options.append(f'valid-before="{_stamp(trusted.valid_before)}"')
    return f"{trusted.name} {','.join(options)} {trusted.key.line()}"


def append_line(path: Path, line: str) -> None:
    """Add *line* to a list that people edit too; what is there stays byte for byte.

    Raises:
        StoreIOError: E_STORE_IO.
    """
    make_dirs(path.parent, mode=0o700)
    try:
        before = read_bytes(path.resolve())
    except FileNotFoundError:
        before = b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    write_atomic(path, before + f"{line}\n".encode(), mode=0o600)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list of keys; none when there is no such file.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: not UTF-8.
        UnsafeOperationError: E_UNSAFE_OPERATION: others may write it, and so decide who is trusted.
    """
    try:
        mode = path.stat().st_mode
        text = read_bytes(path.resolve()).decode("utf-8", "strict")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise InvalidInputError(f"the trust file {path} is not UTF-8") from None
    if stat.S_IMODE(mode) & 0o022:
        raise UnsafeOperationError(f"others may write the trust file {path}", hint=f"chmod 600 {path}")
    return text.split("\n")


# --- the syntax -------------------------------------------------------------------------------------------------

_OPTION: Final = pattern(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)')
_DATE: Final = pattern(r"([0-9]{8})([0-9]{4})?([0-9]{2})?(Z?)\Z")


def _parse_trust(lines: list[str], name: str) -> Iterator[TrustedKey]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{name}, line {number}"
        fields = text.split(None, 2)
        if len(fields) < 3:
            raise InvalidInputError(f"{where}: this is not an allowed-signers line")
        principals, options, rest = fields
        if options == SSH_TYPE.decode() or NAMESPACE not in options:
            continue
        after, before = _parse_options(options, where)
        for principal in principals.split(","):
            if not _NAME.match(principal):
                raise InvalidInputError(f"{where}: {principal!r} is not a plain name; patterns trust too much")
            try:
                yield TrustedKey(principal, parse_public_key(rest), valid_after=after, valid_before=before)
            except InvalidInputError as error:
                raise InvalidInputError(f"{where}: {error.message}", hint=error.hint) from None


def _parse_options(text: str, where: str) -> tuple[datetime | None, datetime | None]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        name = match[1].lower() if match is not None else ""
        if match is None or match[2] is None or name in found or name not in _KNOWN_OPTIONS:
            raise _unsupported(text, where)
        found[name] = match[2]
        at = match.end()
    if NAMESPACE not in found.get("namespaces", "").split(","):
        raise _unsupported(text, where)
    after, before = (
        parse_date(found[name], where) if name in found else None for name in ("valid-after", "valid-before")
    )
    if after is not None and before is not None and after > before:
        raise InvalidInputError(f"{where}: valid-after is later than valid-before")
    return after, before


_KNOWN_OPTIONS: Final = frozenset({"namespaces", "valid-after", "valid-before"})


def _unsupported(text: str, where: str) -> InvalidInputError:
    return InvalidInputError(
        f"{where}: the options {text[:80]!r} are not supported",
        hint=f'Write: NAME namespaces="{NAMESPACE}" ssh-ed25519 AAAA… (and valid-after="YYYYMMDD", valid-before="…")',
    )


def parse_date(text: str, where: str) -> datetime:
    """Return the moment that *text* names, in the syntax of ssh-keygen(1); *where* names its place in errors.

    That is YYYYMMDD or YYYYMMDDHHMM[SS], in the system's time zone unless a Z follows.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    match = _DATE.match(text)
    try:
        if match is None:
            raise ValueError(text)
        moment = datetime.strptime(f"{match[1]}{match[2] or '0000'}{match[3] or '00'}", "%Y%m%d%H%M%S")  # noqa: DTZ007
        return moment.replace(tzinfo=UTC) if match[4] else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"{where}: {text[:40]!r} is not a date", hint="Write YYYYMMDD or YYYYMMDDHHMMSS, with a Z for UTC."
        ) from None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _parse_revoked(lines: list[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if _FINGERPRINT.match(text):
            yield text
            continue
        try:
            yield parse_public_key(text).fingerprint
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{name}, line {number}: {error.message}", hint="Write SHA256:… or a public key line."
            ) from None
