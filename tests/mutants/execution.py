"""Faults of what stands between a bundle and its execution: approved bytes (P25), paths (P26), mapping and argv (P27)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_CORPUS: Final = "tests/conformance/bundles/test_bundles_hostile.py"
_REFUSED: Final = f"{_CORPUS}::test_it_is_refused_with_its_code"
_DOCUMENTS: Final = f"{_CORPUS}::test_a_document_is_refused_with_its_code_and_place"
_FLAGGED: Final = f"{_CORPUS}::test_a_suspicious_script_is_flagged_at_its_line"
_UNVALIDATED: Final = f"{_CORPUS}::test_nothing_is_written_for_an_escape_even_unvalidated"
_INSIDE: Final = "tests/property/test_artifact_paths_stay_inside.py"
_BYTES: Final = "tests/fault/test_only_approved_bytes_run.py"
_AFTER_CHECK: Final = f"{_BYTES}::test_changed_after_the_check_the_approved_bytes_run"
_AFTER_APPROVAL: Final = f"{_BYTES}::test_changed_after_the_approval_nothing_runs"
_EDITS: Final = "tests/unit/forge/test_artifacts_respect_hand_edits.py"
_CLI: Final = "tests/integration/test_cli_edited_scripts.py"
_LIMITS: Final = "tests/unit/forge/test_validate_says_everything_at_once.py"
_READ: Final = "tests/unit/forge/test_bundle_reader.py"
_COMPILED: Final = "tests/unit/forge/test_compiler_makes_bundles.py"
_SHELL: Final = "tests/contract/test_no_shell_strings_in_the_product.py"

_ROOM: Final = "clockwork_nb/forge/"


def _bytes(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"clockwork_nb/{file}", old, new, "P25", tests)


def _paths(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "P26", tests or (_REFUSED,))


def _gate(name: str, old: str, new: str, *tests: str, file: str = "validate") -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "P27", tests or (_REFUSED,))


_APPROVED_BYTES: Final = [
    _bytes("script-run-by-its-path", "forge/step.py", "self._artifacts[step.cmd[at]].content\n",
           '(self._workspace / "build" / step.cmd[at]).read_bytes()\n', _AFTER_CHECK),
    _bytes("data-read-by-its-path", "forge/step.py", "if artifact.secret else artifact.content",
           'if artifact.secret else (self._workspace / "build" / path).read_bytes()', _AFTER_CHECK),
    _bytes("memory-that-can-be-written", "forge/launch.py", " | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE", " | fcntl.F_SEAL_GROW",
           f"{_BYTES}::test_the_bytes_that_are_handed_over_cannot_be_changed_by_anybody"),
    _bytes("no-check-before-a-step", "forge/runner.py", "        verify_files(artifacts,", "        (lambda *_: None)(artifacts,",
           _AFTER_APPROVAL),
    _bytes("any-bytes-are-the-same", "forge/artifacts.py", "same = folder.read(artifact.path) == artifact.content",
           "same = folder.read(artifact.path) is not None", _AFTER_APPROVAL),
    _bytes("same-length-is-the-same", "forge/artifacts.py", "same = folder.read(artifact.path) == artifact.content",
           "same = len(folder.read(artifact.path) or b'') >= len(artifact.content)", _AFTER_APPROVAL),
    _bytes("links-are-the-same", "forge/artifacts.py", "            except BundlePathError:\n                same = False\n",
           "            except BundlePathError:\n                same = True\n", _AFTER_APPROVAL),
    _bytes("any-interpreter", "forge/preconditions.py", "same = sha256_hex(Path(path).read_bytes()) == sha256",
           "same = Path(path).exists()", f"{_BYTES}::test_an_interpreter_that_changed_is_not_started"),
    _bytes("second-names-are-fine", "forge/build_folder.py", " or found.st_nlink != 1", "", f"{_EDITS}::test_a_change_after_approval_is_noticed_right_before_the_step"),
    _bytes("files-behind-links-are-fine", "forge/build_folder.py", "_READ = os.O_RDONLY | os.O_NOFOLLOW | ",
           "_READ = os.O_RDONLY | ", f"{_EDITS}::test_a_change_after_approval_is_noticed_right_before_the_step"),
    _bytes("digest-without-contents", "forge/bundle.py", 'doc["sha256"] = sha256_hex(a.content)',
           'doc["sha256"] = sha256_hex(b"")', "tests/unit/forge/test_bundle_digest.py"),
    _bytes("digest-without-interpreters", "forge/bundle.py", "        if self.interpreter:\n", "        if False:\n",
           "tests/unit/forge/test_bundle_digest.py"),
    _bytes("edits-are-not-in-the-bundle", "forge/artifacts.py", "out.bundle.append(replace(artifact, content=disk))",
           "out.bundle.append(artifact)", _EDITS),
    _bytes("edits-are-not-validated", "session/building.py", "if staged.edited or staged.conflicts:", "if False:",
           f"{_CLI}::test_every_finding_of_an_edit_is_told_at_once"),
    _bytes("edits-are-not-shown", "forge/artifacts.py", 'out.edited[artifact.path] = _diff(artifact.content, disk, "generated", "edited")',
           'out.edited[artifact.path] = ""', f"{_CLI}::test_an_edit_that_is_invisible_is_still_a_difference_that_shows"),
    _bytes("edits-show-no-line-ends", "forge/artifacts.py", 'a.decode().split("\\n"), b.decode().split("\\n")',
           "a.decode().splitlines(), b.decode().splitlines()",
           f"{_CLI}::test_an_edit_that_is_invisible_is_still_a_difference_that_shows"),
    _bytes("edits-are-lost-under-force", "forge/artifacts.py", "        out.losers.append((artifact.path, disk))\n", "", _EDITS),
    _bytes("force-wins-over-templates-alone", "forge/artifacts.py", "    elif force:\n", "    elif force and last != generated:\n",
           f"{_CLI}::test_force_takes_the_generated_script_and_keeps_the_edit"),
    _bytes("removed-edits-are-lost", "forge/artifacts.py", "            out.losers.append((path, disk))\n", "            pass\n", _EDITS),
    _bytes("a-collision-is-overwritten", "forge/artifacts.py", "    if out.undecided:\n", "    if False:\n", _EDITS),
]  # fmt: skip

_INSIDE_THE_FOLDER: Final = [
    _paths("paths-by-their-first-characters", "paths", "    for part in parts:\n", '    for part in parts if path.startswith("..") else ():\n'),
    _paths("paths-checked-at-the-first-part", "paths", "    for part in parts:\n", "    for part in parts[:1]:\n"),
    _paths(
        "absolute-paths", "paths", '    if path.startswith("/"):\n', "    if False:\n", f"{_INSIDE}::test_what_is_wrong_has_its_name"
    ),
    _paths("drives", "paths", '    if re.match(r"[A-Za-z]:", path):\n', "    if False:\n",
           f"{_INSIDE}::test_what_is_wrong_has_its_name"),
    _paths("backslashes", "paths", """r'[<>:"|?*\\\\]'""", """r'[<>:"|?*]'"""),
    _paths("hidden-names", "paths", '    if part.startswith("."):\n', "    if False:\n"),
    _paths("options-as-names", "paths", '    if part.startswith("-"):\n', "    if False:\n"),
    _paths("devices-as-names", "paths", ".rstrip().casefold() in _DEVICES:", ".rstrip() in _DEVICES:"),
    _paths("invisible-characters", "paths", '{"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}', '{"Cc"}'),
    _paths("long-paths", "paths", "    if size > MAX_PATH_BYTES:\n", "    if size > 4096:\n"),
    _paths("deep-paths", "paths", "    if len(parts) > MAX_PARTS:\n", "    if len(parts) > 99:\n"),
    _paths("two-forms-of-a-name", "paths", 'if unicodedata.normalize("NFC", path) != path:', "if False:"),
    _paths("names-that-differ-by-case", "paths", 'unicodedata.normalize("NFC", path).casefold()', 'unicodedata.normalize("NFC", path)'),
    _paths("files-below-files", "paths", "            if parent in files:\n", "            if False:\n"),
    _paths("writing-trusts-the-gate", "artifacts", "        if problem := path_problem(artifact.path):", "        if problem := None:",
           _UNVALIDATED),
    _paths("folders-behind-links", "build_folder", "_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | ",
           "_DIR = os.O_RDONLY | os.O_DIRECTORY | ", f"{_INSIDE}::test_nothing_is_written_through_a_folder_that_is_swapped_for_a_link"),
    _paths("workspace-behind-a-link", "build_folder", "return folder.parent if folder.name == _OURS else root.parent",
           "return root.parent", f"{_INSIDE}::test_nothing_is_written_through_a_folder_that_is_swapped_for_a_link"),
    Mutant("workspace-is-a-link", "clockwork_nb/workspace.py", "        if folder.is_symlink():\n", "        if False:\n", "P26",
           (f"{_CLI}::test_what_is_planted_is_refused_with_its_code_and_nothing_else_changes",)),
    _paths("record-behind-a-link", "artifacts", "folder.write(RECORD_NAME, data, 0o600)", "(folder.root / RECORD_NAME).write_bytes(data)",
           f"{_INSIDE}::test_the_record_is_not_written_through_a_link"),
    _paths("agents-write-anywhere", "validate", 'if path.startswith(("/", "~")) or ".." in parts:', "if False:"),
    _paths("agents-write-our-state", "validate", 'elif any(part.casefold() == ".clockwork" for part in parts):', "elif False:"),
]  # fmt: skip

_ONE_STEP_ONE_ACTION: Final = [
    _gate("shell-strings", "argv, input=body, capture_output=True", '" ".join(argv), shell=True, input=body, capture_output=True',
          _SHELL, file="syntax"),
    _gate("steps-nobody-planned", "        if s.id not in names:\n            yield Finding(", "        if s.id not in names:\n            (",
          f"{_REFUSED}"),
    _gate("actions-without-a-step", "        if i not in have:\n", "        if False:\n"),
    _gate("steps-twice", "for i, n in have.items() if n > 1)", "for i, n in have.items() if n > 2)"),
    _gate("steps-in-any-order", "if len(order) == len(got) and order != got:", "if False:"),
    _gate("purposes-alike", "        if s.purpose != name:\n", "        if False:\n"),
    _gate("addresses-alike", "        if s.address != address:\n", "        if False:\n"),
    _gate("any-flag", "        if not runtime.flags.match(word):\n", "        if False:\n", file="runtimes"),
    _gate("code-as-a-word", 'pattern(r"-[efux]{1,4}\\Z")),\n        Runtime("bash"', 'pattern(r"-[cefux]{1,4}\\Z")),\n        Runtime("bash"',
          file="runtimes"),
    _gate("all-permissions-of-deno", "|allow-(?:read|write|net|env)=[^\\s*]+", "|allow-(?:read|write|net|env|run)=[^\\s*]+", f"{_LIMITS}::test_what_stands_before_the_script_is_fixed_and_harmless", file="runtimes"),
    _gate("control-characters-in-words", "        if _CONTROL.search(word)\n    ]", "        if False\n    ]",
          file="runtimes"),
    _gate("scripts-from-elsewhere", "    if script is None:\n", "    if script is None and step.cmd[at].startswith('/nonexistent'):\n"),
    _gate("languages-do-not-matter", "    if script.lang not in runtime.languages:\n", "    if False:\n"),
    _gate("first-lines-do-not-matter", "    if named is not None and named != runtime.name:\n", "    if False:\n"),
    _gate("interpreters-by-any-path", 'if not step.interpreter.startswith("/") or step.interpreter', "if step.interpreter"),
    _gate("interpreters-without-a-digest", '    elif not re.fullmatch(r"[0-9a-f]{64}", step.interpreter_sha256):\n', "    elif False:\n"),
    _gate("interpreter-of-no-digest", "interpreter_sha256=sha256,", 'interpreter_sha256="0" * 64,',
          f"{_COMPILED}::test_the_interpreter_is_an_absolute_path_with_the_digest_of_its_content", file="compiler"),
    _gate("variables-that-steer", "        elif _STEERING.match(name) or", "        elif False or"),
    _gate("agents-on-the-host", 'if source == "agent" and step.cls != "confined":', "if False:"),
    _gate("environment-for-all", 'if step.inherits_environment and step.cls != "host":', "if False:",
          f"{_LIMITS}::test_only_a_host_step_may_inherit_the_environment"),
    _gate("files-nobody-named", "        if a.path not in used:\n", "        if False:\n"),
    _gate("secrets-within", "            if redactor.redact_bytes(text) != text:\n", "            if False:\n"),
    _gate("limits-of-templates-for-agents", 'limits or (AGENT_LIMITS if source == "agent" else TEMPLATE_LIMITS)\n    findings = list(',
          "limits or TEMPLATE_LIMITS\n    findings = list("),
    _gate("one-finding-at-a-time", "    findings += _mapping_findings(bundle.steps, actions)\n",
          "    if findings:\n        return findings\n    findings += _mapping_findings(bundle.steps, actions)\n", _LIMITS),
    _gate("keys-twice", "    if len(out) != len(pairs):\n", "    if False:\n", _DOCUMENTS, file="bundle_reader"),
    _gate("infinite-numbers", 'if number in {float("inf"), float("-inf")}:', "if False:", _DOCUMENTS, file="bundle_reader"),
    _gate("halves-of-characters", '    try:\n        text.encode()\n', '    try:\n        text.encode("utf-8", "surrogatepass")\n', _DOCUMENTS,
          file="bundle_reader"),
    _gate("unknown-keys", "            if key not in keys:\n", "            if False:\n", _DOCUMENTS, file="bundle_reader"),
    _gate("replies-of-any-length", "    if len(data) > limits.document_bytes:\n", "    if False:\n", _DOCUMENTS, file="bundle_reader"),
    _gate("replies-of-any-depth", "            if depth > most:\n", "            if False:\n", _DOCUMENTS, file="bundle_reader"),
    _gate("replies-past-the-gate", "        findings += validate_bundle(reading.bundle,", "        (lambda *_, **__: None)(reading.bundle,",
          _DOCUMENTS, file="bundle_reader"),
    _gate("nothing-is-suspicious",
        "    codes = {p.code for p in patterns if p.regex.search(line)}\n",
        "    codes: set[str] = set()\n",
        _FLAGGED, file="content_flags"),
    _gate("suspicious-on-one-line-alone", 'joined=lang in {"sh", "bash"}', "joined=False", _FLAGGED, file="content_flags"),
    _gate("secrets-are-shown", 'return "…" if code == "secret-literal" else', 'return "…" if False else',
          "tests/unit/forge/test_content_flags.py", file="content_flags"),
]  # fmt: skip

MUTANTS: Final[list[Mutant]] = [*_APPROVED_BYTES, *_INSIDE_THE_FOLDER, *_ONE_STEP_ONE_ACTION]
