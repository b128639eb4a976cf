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
_PLAIN: Final = "tests/property/test_plain_attributes_agree_with_models.py"
_BY_ITSELF: Final = "tests/unit/intake/test_types_that_accept_by_themselves.py"
_RETRIES: Final = "tests/fault/test_runner_records_at_once.py"
_EXCHANGE: Final = "tests/integration/test_resource_service_exchange.py"
_MISSING: Final = "tests/integration/test_missing_folders_are_found_by_the_plan.py"
_SHARED: Final = "tests/integration/test_terraform_state_of_two_workspaces.py"

_ROOM: Final = "clockwork_nb/resources/"


def _file(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}file/templates.py", old, new, "R1", tests or (_KEPT,))


def _command(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}command/templates.py", old, new, "R2", tests or (_COMMANDS,))


def _check(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "R3", tests or (_KINDS,))


def _exchange(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, f"{_ROOM}service/container_exchange.py", old, new, "R6", (f"{_EXCHANGE}::{test}",))


def _foreign(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"{_ROOM}{file}.py", old, new, "R4", (_TYPES,))


def _plain(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"{_ROOM}plain.py", old, new, "R5", (_PLAIN,))


MUTANTS: Final[list[Mutant]] = [
    _exchange("an-old-container-stays-away", '        {engine} rename "$CW_OLD" "$CW_NAME"\n    fi\n', "        :\n    fi\n", "test_what_rested_before_rests_afterwards"),
    _exchange("an-old-container-stays-stopped", 'if [ "$CW_RAN" = 1 ]; then {engine} start', 'if [ "$CW_RAN" = 9 ]; then {engine} start', "test_a_taken_port_gives_the_old_container_back_and_it_runs"),
    _exchange("remains-count-as-the-new-one", "if stays_up 1 && really_runs; then", "if true; then", "test_remains_that_never_ran_do_not_take_the_place_of_the_old_one"),
    _exchange("a-stranger-is-the-old-one", "        ours || CW_OLD=\n", "", "test_a_stranger_under_the_name_for_the_old_one_is_left_alone_and_nothing_is_lost"),
    Mutant("an-engine-that-hangs-is-none", "clockwork_nb/forge/engines.py", "return PROCESS + silent", "return PROCESS", "R6",
           ("tests/unit/forge/test_container_engine_is_found.py",)),
    Mutant("a-missing-module-waits-for-nobody", f"{_ROOM}terraform/observe.py", 'if context.made_later(config["source"]):', "if True:", "R7", (_MISSING,)),
    Mutant("names-that-begin-alike-are-one-folder", "clockwork_nb/session/path_makers.py", 'made.startswith(f"{path}/")', "made.startswith(path)", "R7", (_MISSING,)),
    Mutant("a-state-is-anybodys", f"{_ROOM}terraform/sharing.py", 'if other != workspace and ', "if ", "R7", (f"{_SHARED}::test_only_a_state_in_the_module_and_a_record_of_it_count",)),
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
    _plain("plain-defaults-are-shared", "config[name] = config[name].copy()", "pass"),
    _plain("plain-may-lack-what-is-required", "if not self._required <= given.keys():", "if False:"),
    _plain("plain-is-never-judged-as-a-whole", "if self._whole is not None:", "if False:"),
    _plain("plain-flags-are-numbers", "if type(value) is not int:\n            return later(value)\n        if not low", "if not isinstance(value, int):\n            return later(value)\n        if not low"),
    _plain("plain-secrets-are-not-checked", "Sensitive(rule(value.value))", "value"),
    Mutant("plain-repositories-show-passwords", f"{_ROOM}repository/attributes.py", "    if isinstance(password, str):", "    if False:", "R5",
           ("tests/unit/resources/test_repository_addresses_and_steps.py",)),
    Mutant("accepted-in-spite-of-lost-values", "clockwork_nb/intake/schema.py", "return None if lost else accepted", "return accepted", "R5", (_BY_ITSELF,)),
]  # fmt: skip
