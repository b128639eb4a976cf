"""Faults of what holds a step: its processes, its output, what it is given, its secrets, its orphans (P28 to P32)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_ZOO: Final = "tests/fault/test_escapes_of_steps.py"
_TREE: Final = "tests/fault/test_process_tree_dies_with_us.py"
_FLOOD: Final = "tests/fault/test_output_flood.py"
_LOGS: Final = "tests/unit/forge/test_logs_are_capped_and_redacted.py"
_STREAMS: Final = "tests/property/test_secrets_in_streams.py"
_STEPS: Final = "tests/integration/test_launcher_runs_steps.py"
_TIERS: Final = "tests/integration/test_confinement_tiers.py"
_RUNTIMES: Final = "tests/integration/test_runtimes_run_steps.py"
_ORPHANS: Final = "tests/fault/test_orphans_of_killed_runs.py"
_BOUNDS: Final = "tests/unit/forge/test_write_roots_of_the_operator.py"
_FILTER: Final = "tests/unit/forge/test_syscall_filter.py"

_LAUNCHER: Final = "clockwork_nb/forge/launcher.py"
_LAUNCH: Final = "clockwork_nb/forge/launch.py"
_LOG: Final = "clockwork_nb/forge/logs.py"
_STEP: Final = "clockwork_nb/forge/step.py"
_SECRETS: Final = "clockwork_nb/secrets.py"
_FOUND: Final = "clockwork_nb/forge/orphans.py"
_SANDBOX: Final = "clockwork_nb/forge/sandbox.py"

MUTANTS: list[Mutant] = [
    # --- P28: nothing of a step outlives it
    Mutant(
        "a-step-keeps-no-orphans", _LAUNCHER,
        "        calls.append(landlock.KEEP_ORPHANS)\n        if message",
        "        if message",
        "P28", (f"{_TREE}::test_the_end_of_one_step_leaves_the_detached_child_of_another_alone",),
    ),
    Mutant(
        "the-launcher-adopts-nobody", _LAUNCHER,
        "            landlock.carry_out(landlock.KEEP_ORPHANS)\n            worker = ",
        "            worker = ",
        "P28", (f"{_ZOO}::test_nothing_of_an_escape_is_left[standard-double-fork]",),
    ),
    Mutant(
        "the-guard-only-waits", _LAUNCHER,
        "            if pid == worker:\n                break\n",
        "            if pid == worker:\n                os._exit(1)\n",
        "P28", (f"{_ZOO}::test_a_killed_launcher_leaves_no_escape[standard]",),
    ),
    Mutant(
        "silence-is-never-noticed", _LAUNCH,
        "            elif idle_timeout_s is not None and time.monotonic() - last >= idle_timeout_s:\n",
        "            elif idle_timeout_s is not None and time.monotonic() - last >= 3600:\n",
        "P28", (f"{_ZOO}::test_a_step_that_says_nothing_is_stopped_with_its_family[standard]",),
    ),
    Mutant(
        "talking-does-not-count", _LAUNCH,
        "                    on_output(ends[fd], chunk)\n                    last = time.monotonic()\n",
        "                    on_output(ends[fd], chunk)\n",
        "P28", (f"{_RUNTIMES}::test_a_step_that_keeps_talking_is_not_silent",),
    ),
    Mutant(
        "the-step-is-not-told-its-idle-limit", _STEP,
        "            idle_timeout_s=times.idle_s,\n",
        "",
        "P28", (f"{_RUNTIMES}::test_silence_ends_a_step_and_the_note_says_so",),
    ),
    Mutant(
        "bubblewrap-dies-of-the-first-signal", _LAUNCH,
        '"nnp": False, "shield": True,',
        '"nnp": False, "shield": False,',
        "P28", (f"{_TIERS}::test_a_step_is_asked_to_end_before_it_is_killed[strict]",),
    ),
    Mutant(
        "a-step-inside-bubblewrap-ignores-being-asked", "clockwork_nb/forge/inside.py",
        "        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # bubblewrap must outlive it, the step may not\n",
        "",
        "P28", (f"{_TIERS}::test_a_step_is_asked_to_end_before_it_is_killed[strict]",),
    ),
    Mutant(
        "output-is-awaited-for-ever", _LAUNCH,
        "            if time.monotonic() > give_up:\n                return\n",
        "            if time.monotonic() > give_up + 3600:\n                return\n",
        "P28", ("tests/unit/forge/test_launch_gives_up_held_output.py",),
    ),
    # --- P29: output is capped, counted and hashed
    Mutant(
        "what-is-dropped-is-not-counted", _LOG,
        "        self.total += len(data)\n        self._whole",
        "        self.total += min(len(data), max(0, self._head_room - len(self._head)))\n        self._whole",
        "P29", (_LOGS,),
    ),
    Mutant(
        "only-the-head-is-hashed", _LOG,
        "        self._whole.update(data)\n",
        "        self._whole.update(data[: max(0, self._head_room - len(self._head))])\n",
        "P29", (f"{_FLOOD}::test_a_flood_is_counted_and_hashed_whole_but_kept_in_part",),
    ),
    Mutant(
        "the-tail-grows-without-end", _LOG,
        "            while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_room:\n",
        "            while False:\n",
        "P29", (f"{_FLOOD}::test_a_flood_is_counted_and_hashed_whole_but_kept_in_part",),
    ),
    Mutant(
        "the-head-has-no-end", _LOG,
        "        room = self._head_room - len(self._head)\n",
        "        room = len(data)\n",
        "P29", (f"{_FLOOD}::test_a_flood_is_counted_and_hashed_whole_but_kept_in_part",),
    ),
    Mutant(
        "the-memory-of-a-step-has-no-limit", "clockwork_nb/forge/launch_spec.py",
        '{"CORE": 0, "DATA": 1 << 30, "NOFILE": 4096}',
        '{"CORE": 0, "NOFILE": 4096}',
        "P29", ("tests/unit/forge/test_limits_of_steps.py",),
    ),
    # --- P30: what a step is given
    Mutant(
        "descriptors-of-other-steps-leak", _LAUNCHER,
        "[self.inbox], _ROOM, socket.MSG_CMSG_CLOEXEC)",
        "[self.inbox], _ROOM, 0)",
        "P30", (f"{_STEPS}::test_only_the_declared_descriptors_are_open",),
    ),
    Mutant(
        "our-environment-reaches-the-step", _STEP,
        '            env = {"PATH": FIXED_PATH, "HOME": folder,',
        '            env = {**os.environ, "PATH": FIXED_PATH, "HOME": folder,',
        "P30", (f"{_RUNTIMES}::test_nothing_of_our_own_environment_reaches_a_step",),
    ),
    Mutant(
        "a-secret-stands-in-the-environment", _STEP,
        '                data[number] = content\n                env[name] = f"/proc/self/fd/{number}"\n',
        "                env[name] = content.decode()\n",
        "P30", (f"{_RUNTIMES}::test_words_variables_data_and_secrets_arrive",),
    ),
    Mutant(
        "what-a-step-left-is-given-to-the-next", _STEP,
        "            return self._state() == self._made and not os.listdir(self.path)\n",
        "            return True\n",
        "P30", (f"{_RUNTIMES}::test_an_untouched_private_folder_is_used_again_and_a_used_one_never",),
    ),
    Mutant(
        "a-folder-that-was-used-and-emptied-counts-as-new", _STEP,
        "            return self._state() == self._made and not os.listdir(self.path)\n",
        "            return not os.listdir(self.path)\n",
        "P30", (f"{_RUNTIMES}::test_an_untouched_private_folder_is_used_again_and_a_used_one_never",),
    ),
    Mutant(
        "strict-loads-no-filter", _SANDBOX,
        '"--seccomp", str(filter_fd), ',
        "",
        "P30", (f"{_TIERS}::test_the_calls_that_no_step_needs_are_denied_under_strict",),
    ),
    Mutant(
        "the-filter-lets-namespaces-through", "clockwork_nb/forge/syscall_filter.py",
        "_NEW_NAMESPACES: Final = 0x7E020080",
        "_NEW_NAMESPACES: Final = 0x6E020080",
        "P30", (f"{_FILTER}::test_clone_may_make_processes_and_threads_but_no_namespaces",),
    ),
    Mutant(
        "strict-forgets-landlock", "clockwork_nb/forge/inside.py",
        '        if order["rules"] is not None:\n',
        "        if False:\n",
        "P30", (f"{_TIERS}::test_a_folder_may_be_made_where_nothing_may_be_written[strict]",),
    ),
    Mutant(
        "strict-shows-what-is-hidden", _SANDBOX,
        "    for path in _hidden(grants):\n",
        "    for path in []:\n",
        "P30", (f"{_TIERS}::test_hidden_folders_are_masked_even_where_their_parent_is_writable",),
    ),
    Mutant(
        "an-allowed-root-opens-its-neighbours", "clockwork_nb/forge/confinement.py",
        'return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")',
        "return path.startswith(folder)",
        "P30", (f"{_BOUNDS}::test_nothing_beside_it_is_open",),
    ),
    # --- P31: secrets do not appear
    Mutant(
        "a-secret-is-cut-in-two", _SECRETS,
        "        cut = max(0, len(data) - self.overlap)\n",
        "        cut = len(data)\n",
        "P31", (f"{_STREAMS}::test_every_form_of_an_awkward_secret_is_masked",),
    ),
    Mutant(
        "the-last-bytes-are-not-looked-at", _LOG,
        '            rest, self._held = self._redactor.redact_bytes(self._held), b""\n',
        '            rest, self._held = self._held, b""\n',
        "P31", (f"{_STREAMS}::test_many_in_a_row_byte_by_byte",),
    ),
    Mutant(
        "base64-is-looked-for-alone", _SECRETS,
        "    for before in range(3):\n",
        "    for before in range(1):\n",
        "P31", (f"{_STREAMS}::test_every_form_of_an_awkward_secret_is_masked",),
    ),
    Mutant(
        "hex-is-lower-case-only", _SECRETS,
        ", raw.hex().upper().encode()}",
        "}",
        "P31", (f"{_STREAMS}::test_every_form_of_an_awkward_secret_is_masked",),
    ),
    Mutant(
        "url-escapes-are-upper-case-only", _SECRETS,
        "    quoted |= {_PERCENT.sub(lambda found: found.group().lower(), q) for q in quoted}\n",
        "",
        "P31", (f"{_STREAMS}::test_every_form_of_an_awkward_secret_is_masked",),
    ),
    Mutant(
        "json-slashes-are-not-escaped", _SECRETS,
        '    escaped |= {e.replace("/", "\\\\/") for e in escaped}\n',
        "",
        "P31", (f"{_STREAMS}::test_every_form_of_an_awkward_secret_is_masked",),
    ),
    Mutant(
        "the-secrets-of-a-bundle-are-not-registered", _STEP,
        "        for value in bundle.secrets.values():\n            redactor.register(value)\n",
        "",
        "P31", (f"{_RUNTIMES}::test_a_secret_that_a_step_prints_is_masked",),
    ),
    # --- P32: what a killed run left
    Mutant(
        "every-marked-process-is-an-orphan", _FOUND,
        "        if known[mark]:\n",
        "        if True:\n",
        "P32", (f"{_ORPHANS}::test_only_runs_that_are_over_leave_orphans",),
    ),
    Mutant(
        "a-number-is-enough-to-be-killed", _FOUND,
        "            if _mark_of(orphan.pid) == (orphan.job, orphan.epoch):\n",
        "            if True:\n",
        "P32", (f"{_ORPHANS}::test_a_number_that_another_process_has_now_is_left_alone",),
    ),
    Mutant(
        "the-beginning-of-a-mark-is-enough", _FOUND,
        ":([0-9]{1,18})\\Z",
        ":([0-9]{1,18})",
        "P32", (f"{_ORPHANS}::test_what_does_not_carry_a_whole_mark_is_nobody",),
    ),
    Mutant(
        "any-other-epoch-is-over", "clockwork_nb/session/orphans.py",
        "            return lease.epoch > epoch\n",
        "            return True\n",
        "P32", (f"{_ORPHANS}::test_a_run_is_over_when_its_epoch_or_its_process_is",),
    ),
    Mutant(
        "a-held-lease-is-a-living-run", "clockwork_nb/session/orphans.py",
        ' or (lease.holder.same_boot(here) and not lives(lease.holder, here))',
        "",
        "P32", (f"{_ORPHANS}::test_a_run_is_over_when_its_epoch_or_its_process_is",),
    ),
    Mutant(
        "orphans-are-not-looked-for", "clockwork_nb/session/execution.py",
        "        _end_orphans(session, run, section.number)\n",
        "",
        "P32", (f"{_ORPHANS}::test_the_next_start_reports_and_ends_what_a_killed_run_left",),
    ),
    Mutant(
        "orphans-are-ended-but-not-reported", "clockwork_nb/session/execution.py",
        '        log(__name__).warning("%s", words)\n        run.writer.append([checkpoint("progress", words, section=number)])\n',
        "        pass\n",
        "P32", (f"{_ORPHANS}::test_the_next_start_reports_and_ends_what_a_killed_run_left",),
    ),
]  # fmt: skip
