"""Faults of files, folders, commands, checks and the types of other packages."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_KEPT: Final = "tests/integration/test_resource_file_loses_nothing.py"
_FILES: Final = "tests/unit/resources/test_files_and_folders_are_found_for_import.py"
_COMMANDS: Final = "tests/integration/test_resource_command_again_and_undone.py"
_KINDS: Final = "tests/integration/test_resource_check_kinds.py"
_PROGRAMS: Final = "tests/unit/resources/test_checks_become_programs.py"
_TYPES: Final = "tests/unit/resources/test_resource_registry.py"
_RETRIES: Final = "tests/fault/test_runner_records_at_once.py"

_ROOM: Final = "clockwork_nb/resources/"


def _file(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}file/templates.py", old, new, "R1", tests or (_KEPT,))


def _command(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}command/templates.py", old, new, "R2", tests or (_COMMANDS,))


def _check(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "R3", tests or (_KINDS,))


def _foreign(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "R4", (_TYPES,))


MUTANTS: Final[list[Mutant]] = [
    _file("nothing-is-kept", 'if [ "${digest%% *}" = "$CW_OURS" ]; then return 0; fi', "return 0"),
    _file("ours-is-kept-too", 'if [ "${digest%% *}" = "$CW_OURS" ]; then return 0; fi', ":"),
    _file("a-copy-replaces-another", "        kept=$CW_BACKUP${digest%% *}\n", ""),
    _file("a-failed-copy-is-fine", 'cp -pP -- "$CW_PATH" "$kept"; fi', 'cp -pP -- "$CW_PATH" "$kept" || true; fi'),
    _file("copies-lose-their-mode", "then cp -pP --", "then cp -P --", f"{_KEPT}::test_where_no_second_name_can_be_had_a_copy_is_made"),
    _file("an-edit-is-removed-for-good", '&& [ -f "$CW_PATH" ]; }}; then keep; fi', '&& [ -d "$CW_PATH" ]; }}; then keep; fi'),
    _file("secrets-are-multiplied", 'args["backup"], args["ours"] = False, ""', 'args["ours"] = ""'),
    _file("long-names-have-no-room", "room = _NAME_BYTES - len(BACKUP_MARK) - 64", "room = _NAME_BYTES"),
    _file("bytes-are-guessed", 'data.decode("utf-8")}', 'data.decode("utf-8", "replace")}', _FILES),
    _file("a-new-source-writes-again", "wanted is not None and wanted == known", "False", _FILES),
    _command("a-retry-takes-half-for-whole", '[ "${CW_RETRY:-0}" = 0 ] && ', "", f"{_COMMANDS}::test_a_failing_command_is_tried_again_also_when_it_left_half_of_what_it_creates"),
    _command("anew-does-nothing", '        change != "replace"\n        and ', "        ", f"{_COMMANDS}::test_made_anew_it_is_undone_and_done"),
    _command("input-does-not-count", ', "creates", "stdin")', ', "creates")', f"{_COMMANDS}::test_only_what_counts_makes_it_run_again"),
    _command("secrets-are-undone-with", "if not _secret(value)}", "}", f"{_COMMANDS}::test_what_a_command_did_is_undone_when_its_block_goes"),
    Mutant("folders-vanish-when-made-anew", f"{_ROOM}directory/templates.py", "return [*removed, *made]\n    return", "pass\n    return",
           "R1", (f"{_KEPT}::test_made_anew_by_the_same_path_it_is_there_afterwards",)),
    Mutant("every-pause-is-the-runners", "clockwork_nb/forge/runner.py", '.get("backoff_s") or ', '.get("no_such") or ', "R2",
           (f"{_RETRIES}::test_a_step_says_itself_how_long_the_pause_before_its_retries_is_and_is_told_of_them",)),
    _check("headers-are-shown", "probes", '        if isinstance(value, Sensitive):', "        if False:", _PROGRAMS),
    _check("slow-is-fast", "probes", "if most and took > int(most):", "if most and took > 10 * int(most):"),
    _check("any-mode-will-do", "check/file_programs", "wanted is not None and wanted not in values", "wanted is None and wanted not in values"),
    _check("the-whole-log-counts", "check/file_programs", 'found[-int(os.environ["CW_LINES"]) :]', "found", f"{_KINDS}::test_logs_are_read_from_their_end"),
    _check("links-count-twice", "check/file_programs", "info.st_nlink == 1 or (info.st_dev, info.st_ino) not in seen", "True"),
    _check("the-check-sees-itself", "check/machine_programs", "or int(entry) in skipped", "or int(entry) in set()", _KINDS),
    _check("a-command-is-no-risk", "check/templates", 'if target.get("network") else ("command",)', 'if target.get("network") else ()', _PROGRAMS),
    _check("host-for-everything", "check/templates", 'if action.name == "verify_service" else step', "if True else step", _PROGRAMS),
    _foreign("words-of-the-language-are-looked-up", "registry", "        if name in _RESERVED:\n            raise KeyError(name)\n", ""),
    _foreign("one-broken-package-breaks-all", "registry", "                except InvalidInputError:\n                    continue", "                except ZeroDivisionError:\n                    continue"),
    _foreign("any-action-name", "foreign", "isinstance(spec.name, str) and bool(NAME.match(spec.name)) and ", ""),
    _foreign("mistakes-of-a-package-are-raw", "foreign", '            raise self._wrong(method, f"raised {_described(error)}") from error', "            raise"),
]  # fmt: skip
