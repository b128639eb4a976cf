"""Faults in the strict reader, the verifier, trust and unpacking (promises P17 to P24)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["MUTANTS"]

_ROOM: Final = "clockwork_nb/jobpack/"
_CASE: Final = "tests/conformance/test_packs_malicious_corpus.py::test_every_case_is_refused_with_its_code[{}]"
_FLIPS: Final = (
    "tests/conformance/test_packs_single_byte_changes.py::test_a_flip_at_every_place_between_the_contents_is_detected"
)
_LIMITS: Final = "tests/unit/jobpack/test_archive_limits_and_names.py"
_WRKR: Final = "tests/unit/jobpack/test_wrkr_packs.py"
_MADE: Final = "tests/conformance/test_packs_made_and_verified.py"
_TRUST: Final = "tests/unit/test_trust_over_time_and_revoked_keys.py"
_SIGNING: Final = "tests/unit/test_signing.py"
_ROTATION: Final = "tests/unit/test_key_rotation.py"
_LEFT_OUT: Final = "tests/unit/jobpack/test_files_that_are_not_included.py"
_RELATION: Final = "tests/unit/jobpack/test_relation_of_packs.py"
_UNPACK: Final = "tests/unit/session/test_unpacking_stays_inside.py"
_VERBS: Final = "tests/integration/test_cli_pack_verbs.py"
_ONCE: Final = "tests/unit/session/test_pack_files_are_read_once.py"
_WATCHED: Final = "tests/conformance/test_packs_verify_offline_and_write_nothing.py"
_SAME_BYTES: Final = "tests/conformance/test_packs_export_is_reproducible.py"
_AGENT: Final = "tests/integration/test_signing_with_openssh_keys.py"


def _cases(letters: str) -> tuple[str, ...]:
    return tuple(_CASE.format(letter) for letter in letters)


def _archive(name: str, old: str, new: str, *tests: str, promise: str = "P17") -> Mutant:
    return Mutant(f"archive-{name}", f"{_ROOM}archive.py", old, new, promise, tests)


_READER: Final = [
    _archive("local-header-not-compared", "if data[at:start] != expected:", "if False:", _FLIPS, promise="P18"),
    _archive("comment-allowed", "here != count or comment or size", "here != count or size", *_cases("E")),
    _archive("other-disks-allowed", "if disk or start_disk or here != count", "if here != count", *_cases("E")),
    _archive("first-disk-allowed", "if disk or start_disk or", "if start_disk or", *_cases("E")),
    _archive("two-counts-allowed", "or here != count or", "or", *_cases("E")),
    _archive("any-number-of-entries", "if count > MAX_ENTRIES:", "if False:", _LIMITS),
    _archive("directory-anywhere", "if offset + size != end_at:", "if False:", *_cases("E")),
    _archive(
        "directory-record-unmarked", 'or data[at : at + 4] != b"PK\\x01\\x02":', "or False:", _FLIPS, promise="P18"
    ),
    _archive("any-total", "if total > MAX_PACK_BYTES:", "if False:", *_cases("B")),
    _archive("rest-of-directory-ignored", "    if at != end:\n", "    if False:\n", *_cases("E")),
    _archive("names-compared-exactly", "folded = name.lower()", "folded = name", *_cases("D")),
    _archive("duplicates-allowed", "if folded in seen:", "if False:", *_cases("D")),
    _archive("file-that-is-a-folder", "if folder in seen:", "if False:", *_cases("D")),
    _archive("any-name", 'check_entry_name(name.decode("latin-1"))', 'name.decode("latin-1")', *_cases("N")),
    _archive("gaps-between-entries", "if record.offset != at:", "if False:", *_cases("L")),
    _archive("gap-before-directory", "if at != directory:", "if False:", *_cases("L")),
    _archive("any-order", "names != sorted(names)", "names != names", *_cases("L")),
    _archive("any-method", "record.method, 0)", "0, 0)", *_cases("HC")),
    _archive("any-flags", "record.flags, profile.flags)", "profile.flags, profile.flags)", *_cases("HC")),
    _archive("any-creator", "record.made_by, profile.made_by)", "0, 0)", *_cases("T")),
    _archive("any-version", "record.needed, 20)", "20, 20)", *_cases("H")),
    _archive("any-time", "record.time, 0)", "0, 0)", *_cases("H")),
    _archive("any-date", "record.date, DOS_DATE)", "0, 0)", *_cases("H")),
    _archive("any-disk-of-an-entry", "record.disk, 0)", "0, 0)", *_cases("H")),
    _archive("any-internal-attributes", "record.internal, 0)", "0, 0)", *_cases("T")),
    _archive("any-mode", "record.attributes, profile.attributes)", "0, 0)", *_cases("T")),
    _archive("any-extra-field", "record.extra, profile.extra)", "0, 0)", *_cases("X")),
    _archive("any-stored-size", '("stored size", record.packed, record.size)', '("stored size", 0, 0)', *_cases("H")),
    _archive(
        "descriptor-not-compared",
        "if profile.descriptor and data[end:after] !=",
        "if False and data[end:after] !=",
        _WRKR,
    ),
    Mutant("layout-no-devices", f"{_ROOM}layout.py", "and _ANY_DEVICE.search(name) is None", "", "P17", _cases("N")),
    Mutant(
        "layout-long-names", f"{_ROOM}layout.py", "return len(name) <= MAX_NAME_BYTES and", "return", "P17", (_LIMITS,)
    ),
]

_MANIFEST: Final = [
    Mutant(
        "manifest-paths-in-any-order", f"{_ROOM}manifest.py", "if any(a >= b for a, b in pairwise(paths)):", "if False:",
        "P17", _cases("M"),
    ),
    Mutant("manifest-lists-itself", f"{_ROOM}manifest.py", "if MANIFEST in paths:", "if False:", "P17", _cases("M")),
    Mutant("manifest-hash-not-compared", f"{_ROOM}manifest.py", "if stored != found:", "if False:", "P18", _cases("M")),
    Mutant(
        "manifest-any-length", f"{_ROOM}manifest.py", "if len(data) > MAX_MANIFEST_BYTES:", "if False:", "P17", (_LIMITS,)
    ),
    Mutant("json-any-spelling", f"{_ROOM}plain.py", "    if not canonical:\n", "    if False:\n", "P17", _cases("M")),
]  # fmt: skip


def _check(name: str, old: str, new: str, *tests: str, promise: str = "P17") -> Mutant:
    return Mutant(f"checks-{name}", f"{_ROOM}checks.py", old, new, promise, tests)


def _verify(name: str, old: str, new: str, *tests: str, promise: str = "P21") -> Mutant:
    return Mutant(f"verify-{name}", f"{_ROOM}verify.py", old, new, promise, tests)


_VERIFIER: Final = [
    _check("crc-not-compared", "    check_crc(archive)\n", "", *_cases("H"), promise="P18"),
    _check("undeclared-files", "if undeclared := sorted(present - listed):", "if undeclared := []:", *_cases("F")),
    _check("digests-not-compared", "    if expected != found:\n", "    if False:\n", *_cases("F")),
    _check("evidence-nobody-names", "if undeclared := sorted(present.keys() - expected.keys()):", "if undeclared := []:",
           *_cases("F"), promise="P23"),
    _check("evidence-of-any-content", "if present[name] != expected[name]:", "if False:", *_cases("F"), promise="P23"),
    _check("signer-line-in-any-spelling", "if signer_line(key) != data:", "if False:", *_cases("G"), promise="P21"),
    _check("statement-not-compared", "if envelope.payload != expected:", "if False:", *_cases("G"), promise="P21"),
    _check("manifest-fields-not-compared", "    if stated != (", "    if False and stated != (", *_cases("M")),
    _check("any-file-name", "    if match is None or not JOB_ID.match(match[1]):", "    if True:", _MADE),
    _check("long-log-is-copied", "if archive.entries[name].size > most:", "if False:",
           _LIMITS),
    _verify("signature-not-checked", "        if not envelope.signed_by(public):\n            raise SignatureInvalidError(\n",
            "        if False:\n            raise SignatureInvalidError(\n", *_cases("G")),
    _verify("subjects-not-compared", "        check_subjects(envelope.payload, subjects_of(digests))\n", "", *_cases("F")),
    _verify("anybody-is-trusted", "            if not self.signer.name:\n", "            if False:\n", *_cases("G")),
    _verify("given-key-beats-revocation", 'if self.key is None or standing.status == "revoked":', "if self.key is None:",
            _TRUST),
    _verify("given-key-ignored", "if self.key is None or", "if True or", _MADE),
    _verify("signature-may-be-stripped", "            if SIGNER in archive.entries:\n", "            if False:\n",
            *_cases("G")),
    _verify("unsigned-counts", '            if not signed:\n', "            if False:\n", _WRKR),
    _verify("files-only", "            cross_check(", "            (lambda *_: None)(", *_cases("S"), promise="P23"),
    _verify("contract-not-recomputed", "            check_contract(", "            (lambda *_: None)(", *_cases("F"),
            promise="P23"),
    _verify("old-and-forked-packs-pass", "if self.relation not in BAD_RELATIONS:", "if True:", _RELATION, promise="P23"),
    _verify("unfinished-is-final", "            if not final:\n", "            if False:\n", f"{_VERBS}::test_a_job_that_goes_on_is_verified_but_not_final"),
    _verify("any-job", "if self.expect_job is not None and self.expect_job != job_id:", "if False:", f"{_VERBS}::test_pins_of_job_footer_and_manifest"),
    _verify("any-manifest", "if self.expect_manifest is not None and", "if False and", _MADE),
    Mutant("statement-about-anything", f"{_ROOM}statement.py", "payload.endswith(ending):", "True:", "P21", _cases("F")),
    Mutant("crosscheck-unplanned-step", f"{_ROOM}crosscheck.py", "    if step not in bundle.steps:\n", "    if False:\n", "P23",
           _cases("S")),
    Mutant("crosscheck-any-artifact", f"{_ROOM}crosscheck.py", "bundle.artifacts.get(artifact) != sha256 or", "", "P23",
           _cases("S")),
    Mutant("crosscheck-no-approval", f"{_ROOM}crosscheck.py", "        if not used:\n", "        if False:\n", "P23",
           _cases("S")),
    Mutant("crosscheck-plan-and-bundle-apart", f"{_ROOM}crosscheck.py", "if odd := sorted(plan.steps ^ bundle.steps.keys()):",
           "if odd := []:", "P23", _cases("S")),
    Mutant("crosscheck-any-configuration", f"{_ROOM}crosscheck.py", "if binding[name] != getattr(plan, name):", "if False:",
           "P23", _cases("S")),
    Mutant("log-any-number", f"{_ROOM}log.py", "if event.seq != number:", "if False:", "P23", _cases("S")),
    Mutant("log-not-chained", f"{_ROOM}log.py", "if event.prev != prev or event.job_id != job_id:", "if False:", "P23",
           _cases("S")),
    Mutant("log-epochs-go-back", f"{_ROOM}log.py", "if event.epoch < epoch:", "if False:", "P23", _cases("S")),
    Mutant("log-not-folded", f"{_ROOM}log.py", "            state = evolve(state, event)\n", "            pass\n", "P23",
           _cases("S")),
    Mutant("left-out-anything", f"{_ROOM}contents.py", "item.name not in allowed or ", "", "P23", (_LEFT_OUT,)),
    Mutant("left-out-any-size", f"{_ROOM}contents.py", " or item.size <= limit:", ":", "P23", (_LEFT_OUT,)),
    Mutant("left-out-in-any-spelling", f"{_ROOM}contents.py", "if spelt != data or not found", "if not found", "P18",
           (_LEFT_OUT,)),
    Mutant("relation-head-not-compared", f"{_ROOM}relation.py", "if known.count and hash_at(known.count) != known.head:",
           "if False:", "P23", (_RELATION,)),
]  # fmt: skip

_KEYS: Final = [
    Mutant("envelope-trusts-the-keyid", "clockwork_nb/signing/envelope.py", "return self.keyid == key.keyid and key.verifies(",
           "return self.keyid == key.keyid or key.verifies(", "P21", (_SIGNING,)),
    Mutant("envelope-any-keyid", "clockwork_nb/signing/envelope.py", "return self.keyid == key.keyid and ", "return ", "P21",
           (_SIGNING,)),
    Mutant("envelope-any-spelling", "clockwork_nb/signing/envelope.py", "if canonical_json(again) != data:", "if False:",
           "P21", _cases("G")),
    Mutant("envelope-spare-bits", "clockwork_nb/signing/envelope.py", "if base64.b64encode(data).decode() != text:", "if False:",
           "P21", _cases("G")),
    Mutant("envelope-any-payload-type", "clockwork_nb/signing/envelope.py", "if kind == payload_type:", "if True:", "P21",
           (_ROTATION, *_cases("G"))),
    Mutant("keys-of-low-order", "clockwork_nb/signing/keys.py", "% 2**255 in _LOW_ORDER_Y:", "% 2**255 in ():", "P21",
           (_SIGNING,)),
    Mutant("trust-after-the-end", "clockwork_nb/signing/trust.py", "moment > self.valid_before", "False", "P21", (_TRUST,)),
    Mutant("trust-before-the-beginning", "clockwork_nb/signing/trust.py", "moment < self.valid_after", "False", "P21",
           (_TRUST,)),
    Mutant("trust-revoked-keys", "clockwork_nb/signing/trust.py",
           '        if key.fingerprint in self.revoked:\n            return Standing("revoked"',
           '        if False:\n            return Standing("revoked"', "P21", (_TRUST,)),
    Mutant("trust-files-others-write", "clockwork_nb/signing/trust.py", "if stat.S_IMODE(mode) & 0o022:", "if False:", "P21",
           (_TRUST,)),
    Mutant("trust-any-option", "clockwork_nb/signing/trust.py", " or name not in _KNOWN_OPTIONS:", ":", "P21", (_SIGNING,)),
    Mutant("trust-patterns", "clockwork_nb/signing/trust.py", "            if not _NAME.match(principal):", "            if False:",
           "P21", (_SIGNING,)),
    Mutant("rotation-by-anybody", "clockwork_nb/signing/rotation.py", "if not envelope.signed_by(old):", "if False:", "P21",
           (_ROTATION,)),
    Mutant("rotation-to-anybody", "clockwork_nb/signing/rotation.py", "if not new.verifies(acceptance,", "if False and not (",
           "P21", (_ROTATION,)),
    Mutant("rotation-of-strangers", "clockwork_nb/signing/rotation.py", 'if standing.status != "trusted":', "if False:", "P21",
           (_ROTATION,)),
    Mutant("rotation-of-revoked-keys", "clockwork_nb/signing/rotation.py",
           "if {rotation.old.fingerprint, rotation.new.fingerprint} & store.revoked:", "if False:", "P21", (_ROTATION,)),
    Mutant("rotation-old-key-for-ever", "clockwork_nb/signing/rotation.py", "old.public, valid_before=moment)", "old.public)",
           "P21", (_ROTATION,)),
    Mutant("key-file-others-read", "clockwork_nb/signing/keyfiles.py", " or found.st_mode & 0o077:", ":", "P21", (_SIGNING,)),
    Mutant("agent-is-believed", "clockwork_nb/signing/agent.py", "if kind != SSH_TYPE or not self.public.verifies(signature, data):",
           "if False:", "P21", (_AGENT,)),
]  # fmt: skip

_EDGE: Final = [
    Mutant("unpack-any-name", "clockwork_nb/session/unpack.py", "check_entry_name(name).split(", "name.split(", "P24", (_UNPACK,)),
    Mutant("unpack-folders-for-everybody", "clockwork_nb/session/unpack.py", "os.mkdir(name, 0o700,", "os.mkdir(name, 0o777,",
           "P24", (_UNPACK,)),
    Mutant("unpack-files-for-everybody", "clockwork_nb/session/unpack.py", "_FILE, 0o600,", "_FILE, 0o644,", "P24", (_UNPACK,)),
    Mutant("unpack-leaves-a-half", "clockwork_nb/session/unpack.py", "            if not whole:\n", "            if False:\n",
           "P24", (_UNPACK,)),
    Mutant("unpack-half-a-file", "clockwork_nb/session/unpack.py", "                while rest:\n", "                if rest:\n",
           "P24", (_UNPACK,)),
    Mutant("unpack-straight-into-the-target", "clockwork_nb/session/unpack.py",
           'staging = f".{target.name[:80]}.{os.urandom(6).hex()}.unpacking"', "staging = target.name", "P24", (_UNPACK,)),
    Mutant("unpack-follows-links", "clockwork_nb/session/unpack.py", "os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
           "os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC", "P24", (_UNPACK,)),
    Mutant("unpack-reads-again", "clockwork_nb/session/packs.py", "unpack(found.archive, folder)",
           '__import__("clockwork_nb.session.unpack").session.unpack.unpack(__import__("clockwork_nb.jobpack.archive").jobpack'
           ".archive.read_archive(read_pack(Path(target))), folder)", "P19", (f"{_VERBS}::test_what_is_shown_is_what_was_verified_whatever_becomes_of_the_file",)),
    Mutant("packs-of-any-kind-of-file", "clockwork_nb/session/pack_files.py", "if not stat.S_ISREG(found.st_mode):", "if False:",
           "P17", (_ONCE,)),
    Mutant("packs-shown-unverified", "clockwork_nb/session/packs.py", "if found.error is not None and not unverified:", "if False:",
           "P19", (f"{_VERBS}::test_nothing_is_shown_of_a_pack_that_is_not_verified_unless_asked",)),
    Mutant("verify-makes-a-folder", "clockwork_nb/session/packs.py", "        data = read_pack(path)\n",
           "        make_dirs(self.folder)\n        data = read_pack(path)\n", "P17", (_WATCHED,)),
    Mutant("verify-asks-a-name-service", "clockwork_nb/session/packs.py", "load_settings(who=False)", "load_settings()", "P22",
           (_WATCHED,)),
    Mutant("export-uses-the-clock", f"{_ROOM}build.py", "created_at=projector.created_at,",
           'created_at=__import__("datetime").datetime.now().isoformat() + "Z",', "P20", (_SAME_BYTES,)),
    Mutant("export-uses-the-users-mask", f"{_ROOM}writer.py", "info.external_attr = 0o100644 << 16",
           "info.external_attr = (0o100666 & ~__import__('os').umask(0)) << 16", "P20", (_SAME_BYTES,)),
    Mutant("export-names-the-host", f"{_ROOM}build.py", "producer_version=projector.producer_version,",
           'producer_version=__import__("socket").gethostname(),', "P20", (_SAME_BYTES,)),
]  # fmt: skip

MUTANTS: Final[list[Mutant]] = [*_READER, *_MANIFEST, *_VERIFIER, *_KEYS, *_EDGE]
