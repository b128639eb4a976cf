"""Faults of what makes plans: names, imports, what is left out, what waits, what is protected."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_ADOPTION: Final = "clockwork_nb/assembly/adoption.py"
_TARGETS: Final = "clockwork_nb/assembly/targets.py"
_PLANNER: Final = "clockwork_nb/assembly/planner.py"

_FOLLOWING: Final = "clockwork_nb/session/following.py"
_INPUTS: Final = "clockwork_nb/session/planning_inputs.py"
_SESSION: Final = "clockwork_nb/session/session.py"
_JOBS: Final = "clockwork_nb/session/jobs.py"
_OBSERVING: Final = "clockwork_nb/session/observing.py"
_LATE: Final = "clockwork_nb/session/late_outputs.py"
_FOLD: Final = "clockwork_nb/forge/fold.py"

_TWICE: Final = "tests/integration/test_cli_apply_in_two_sections.py"
_FOLLOWS: Final = "tests/unit/session/test_what_follows_a_section.py"
_OBSERVED: Final = "tests/unit/session/test_observing.py"
_FOLDED: Final = "tests/unit/forge/test_fold_of_moves_imports_and_what_waits.py"
_MOVED: Final = "tests/unit/assembly/test_moved_resources.py"
_IMPORTED: Final = "tests/unit/assembly/test_imported_resources.py"
_REMOVED: Final = "tests/unit/assembly/test_removed_resources.py"
_REPLACED: Final = "tests/unit/assembly/test_replacements_that_are_asked_for.py"
_EXCLUDED: Final = "tests/unit/assembly/test_plan_excludes.py"
_CACHED: Final = "tests/property/test_plans_with_and_without_what_earlier_ones_left.py"
_EVALUATION: Final = "clockwork_nb/intake/evaluation.py"
_EVALUATION_CACHE: Final = "clockwork_nb/intake/evaluation_cache.py"
_PLAN_CACHE: Final = "clockwork_nb/assembly/plan_cache.py"
_WAITS: Final = "tests/unit/assembly/test_what_waits_for_apply.py"

MUTANTS: list[Mutant] = [
    # --- names
    Mutant(
        "a-move-takes-the-place-of-what-is-recorded-there", _ADOPTION,
        "        if not old or new in resources:\n", "        if not old:\n",
        "names", (_MOVED,),
    ),
    Mutant(
        "dependencies-keep-the-old-name", _ADOPTION,
        "                needs = tuple(sorted({now.get(need, need) for need in entry.dependencies}))\n",
        "                needs = entry.dependencies\n",
        "names", (_MOVED,),
    ),
    Mutant(
        "what-is-bound-to-its-address-moves-too", _ADOPTION,
        '        if getattr(types.get(resources[old].type), "bound_to_address", False):\n', "        if False:\n",
        "names", (_MOVED,),
    ),
    Mutant(
        "prevent-destroy-forgets-older-names", _PLANNER,
        'desired.resources.get(a) or desired.resources.get(moves.get(a, ""))', "desired.resources.get(a)",
        "keeps", (_MOVED,),
    ),
    # --- imports and removals
    Mutant(
        "an-import-of-what-nobody-saw-is-made", _ADOPTION,
        "    if observed is None or observed.exists is not True:\n",
        "    if observed is not None and observed.exists is False:\n",
        "names", (_IMPORTED,),
    ),
    Mutant(
        "any-id-will-do-for-an-import", _ADOPTION,
        "    if expected != import_id:\n", "    if not import_id:\n",
        "names", (_IMPORTED,),
    ),
    Mutant(
        "destroy-removes-what-is-to-be-left-as-it-is", _PLANNER,
        "        keep = desired.removals.get(address) is False\n",
        "        keep = not destroy and desired.removals.get(address) is False\n",
        "keeps", (_REMOVED,),
    ),
    # --- what is left out, and what is made anew
    Mutant(
        "what-stands-on-the-excluded-is-made", _TARGETS,
        "    kept = out | wanted.closure(out, dependents=True)\n", "    kept = set(out)\n",
        "asked", (_EXCLUDED,),
    ),
    Mutant(
        "what-the-excluded-was-built-on-is-removed", _TARGETS,
        "    kept |= {address for address in recorded.closure(kept) if address not in wanted}\n", "",
        "asked", (_EXCLUDED,),
    ),
    Mutant(
        "a-bracket-starts-a-set-of-characters", _TARGETS,
        '            shell = name.replace("[", "[[]")\n', "            shell = name\n",
        "asked", (_EXCLUDED,),
    ),
    Mutant(
        "any-attribute-is-a-trigger", _PLANNER,
        '        if change.kind == "create" or attribute in names:\n', "        if names:\n",
        "asked", (_REPLACED,),
    ),
    # --- what waits
    Mutant(
        "what-follows-something-that-waits-is-done", _PLANNER,
        '    below = behind if decision.specs else ""\n', '    below = ""\n',
        "waits", (_WAITS,),
    ),
    Mutant(
        "what-waits-is-forgotten-behind-something-unchanged", _PLANNER,
        "    if behind:\n        waiting[change.address] = behind", "    if decision.specs and behind:\n        waiting[change.address] = behind",
        "waits", (_WAITS,),
    ),
    Mutant(
        "what-is-still-used-is-removed", _PLANNER,
        "    _defer_removals(decisions, recorded)\n", "",
        "waits", (_WAITS,),
    ),
    Mutant(
        "an-output-forgets-its-value-where-nothing-happens", _PLANNER,
        "            known = before if idle else output.value\n", "            known = output.value\n",
        "waits", (_WAITS,),
    ),
    # --- the second section
    Mutant(
        "what-will-be-another-one-is-taken-for-known", _INPUTS,
        "    if not doubtful:\n", "    if True:\n",
        "waits", (f"{_TWICE}::test_a_replaced_ticket_is_made_anew_once_and_who_names_its_number_follows",),
    ),
    Mutant(
        "what-is-ignored-is-a-change-to-those-who-refer-to-it", _INPUTS,
        "        return {*names, *entry.identity.get(\"volatile\", ())}\n", "        return set()\n",
        "waits", (f"{_TWICE}::test_what_does_not_change_stays_known",),
    ),
    Mutant(
        "what-was-made-anew-is-made-anew-again", _FOLLOWING,
        "    return replace(options, replaced=tuple(left))\n", "    return options\n",
        "asked", (f"{_TWICE}::test_a_replaced_ticket_is_made_anew_once_and_who_names_its_number_follows",),
    ),
    Mutant(
        "a-trigger-is-forgotten-by-the-second-section", _FOLLOWING,
        "        if address in asked or _fired(triggers, changes):\n", "        if address in asked:\n",
        "asked", (f"{_TWICE}::test_what_is_triggered_by_a_change_is_replaced_though_it_had_to_wait",),
    ),
    Mutant(
        "a-resumed-second-section-asks-for-everything-again", _JOBS,
        '            if done.outcome == "completed" and done.plan:\n', "            if False:\n",
        "asked", (f"{_TWICE}::test_resumed_at_the_second_gate_it_is_not_made_anew_once_more",),
    ),
    Mutant(
        "a-job-goes-on-though-nothing-became-known", _FOLLOWING,
        "    if waits and _waits(before).items() <= waits.items():\n", "    if False:\n",
        "waits", (_FOLLOWS,),
    ),
    Mutant(
        "verify-goes-on-with-an-apply", _SESSION,
        '                deferred="",\n', "",
        "waits", (f"{_TWICE}::test_checks_alone_run_no_apply_and_refuse_what_is_not_known",),
    ),
    Mutant(
        "a-resumed-job-forgets-force", _JOBS,
        '        session.edits = spec.get("edits", {})\n', "",
        "asked", (f"{_TWICE}::test_what_was_said_about_edited_scripts_still_holds_when_the_job_was_resumed",),
    ),
    Mutant(
        "outputs-of-what-failed-are-recorded", _LATE,
        "or _stands_on(configuration, name) & undone", "",
        "outputs", ("tests/integration/test_cli_plan_verbs.py::test_a_failed_apply_records_the_outputs_of_what_was_done",),
    ),
    Mutant(
        "what-is-imported-is-overwritten-without-a-risk", _PLANNER,
        'theirs = {"overwrite"} if', "theirs = set() if",
        "asked", (_IMPORTED,),
    ),
    Mutant(
        "the-second-section-forgets-force", _SESSION,
        "            built = self.build(planned, **self.edits)\n", "            built = self.build(planned)\n",
        "asked", (f"{_TWICE}::test_what_was_said_about_edited_scripts_holds_for_both_sections",),
    ),
    Mutant(
        "a-late-failure-of-what-was-given-up-counts", _OBSERVING,
        "                    if self._busy.pop(me, None) is not None:  # nobody waits for one that was given up\n",
        "                    if True:\n",
        "names", (_OBSERVED,),
    ),
    Mutant(
        "dependencies-are-recorded-under-the-old-name", _FOLD,
        "                needs = sorted({moved.get(need, need) for need in entry[\"dependencies\"]})\n",
        "                needs = entry[\"dependencies\"]\n",
        "names", (_FOLDED,),
    ),
    # --- what earlier plans left
    Mutant(
        "what-read-a-file-is-kept", _EVALUATION,
        "        asked = evaluator.asked or len", "        asked = len",
        "caches", (_CACHED,),
    ),
    Mutant(
        "one-and-true-are-the-same-value", _EVALUATION_CACHE,
        "        self._values[name] = value = before if identical(before, value) else value\n",
        "        self._values[name] = value = before if before == value else value\n",
        "caches", (_CACHED,),
    ),
    Mutant(
        "other-trees-are-not-noticed", _EVALUATION_CACHE,
        "            or found.attributes != node.attributes\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "other-needs-are-not-noticed", _EVALUATION_CACHE,
        "            or not all(map(is_, found.needs, needs))\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "a-resource-that-is-referred-to-now-has-no-exports", _EVALUATION_CACHE,
        "            or found.referenced is not referenced\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "another-state-is-not-noticed", _PLAN_CACHE,
        "            or found.prior is not prior\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "what-was-looked-at-again-is-not-noticed", _PLAN_CACHE,
        "            or found.observed != observed\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "another-reason-is-not-noticed", _PLAN_CACHE,
        "            or found.because != because\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "what-a-decision-is-about-is-not-noticed", _PLAN_CACHE,
        "            or found.about != _about(instance)\n", "",
        "caches", (_CACHED,),
    ),
    Mutant(
        "another-key-is-not-noticed", _PLAN_CACHE,
        "        if self._key != key:\n", "        if self._key is None:\n",
        "caches", (_CACHED,),
    ),
    Mutant(
        "another-place-in-the-order-is-not-noticed", _PLAN_CACHE,
        " or action.needs != needs:\n", ":\n",
        "caches", (_CACHED,),
    ),
    Mutant(
        "what-is-declared-no-more-is-still-needed", "clockwork_nb/intake/references.py",
        "            if kept is not None and self.nodes.keys() >= {need.target for need in kept}:\n",
        "            if kept is not None:\n",
        "caches", (_CACHED,),
    ),
]  # fmt: skip
