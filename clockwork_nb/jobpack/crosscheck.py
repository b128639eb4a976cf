"""Whether the evidence agrees with itself: plans, bundles, approvals, steps, artifacts.

The chain proves that nobody edited the log after the fact, and the fold that its events can follow each other. What
remains is what the log says about other documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import EvidenceInconsistentError, InvalidInputError
from clockwork_nb.jobpack.contents import BundleView
from clockwork_nb.jobpack.history import History, SectionHistory, StepRun

__all__ = ["cross_check"]


class _PlanView(Struct, frozen=True):
    configuration: str
    lineage: str
    serial: int
    steps: frozenset[str]


def cross_check(history: History, bundles: Mapping[str, BundleView], content: Callable[[str], bytes]) -> None:
    """Check every section of *history* against its documents; *content* returns evidence by SHA-256.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT at the first contradiction.
    """
    plans: dict[str, _PlanView] = {}
    for section in history.sections.values():
        for binding in _bindings(section):
            digest = binding["plan"]
            if digest not in plans:
                plans[digest] = _read_plan(content(digest), digest)
            _check_binding(binding, plans[digest], section)
        if section.binding is not None and section.bundle:
            _check_mapping(section, plans[section.plan], bundles[section.bundle])
        for run in section.runs:
            _check_run(run, section, bundles)
        _check_approval(section, history)


def _bindings(section: SectionHistory) -> list[Mapping[str, Any]]:
    found = [run.binding for run in section.runs if run.binding is not None]
    if section.binding is not None:
        found.append(section.binding)
    unique: dict[int, Mapping[str, Any]] = {id(binding): binding for binding in found}
    return list(unique.values())


def _read_plan(data: bytes, digest: str) -> _PlanView:
    try:
        document = parse_json(data, what=f"plan {digest[:8]}")
        steps = [step["id"] for step in document["actions"]["steps"]]
        view = _PlanView(document["configuration"], document["lineage"] or "", document["serial"], frozenset(steps))
    except InvalidInputError as error:
        raise _contradiction(error.message) from None
    except (KeyError, TypeError, IndexError):
        raise _contradiction(f"plan {digest[:8]} is not a plan") from None
    if len(view.steps) != len(steps) or not all(isinstance(step, str) for step in steps):
        raise _contradiction(f"plan {digest[:8]} has a step without an id of its own")
    return view


def _check_binding(binding: Mapping[str, Any], plan: _PlanView, section: SectionHistory) -> None:
    for name in ("configuration", "lineage", "serial"):
        if binding[name] != getattr(plan, name):
            raise _contradiction(
                f"section {section.number} bound plan {binding['plan'][:8]} with another {name} than it has"
            )


def _check_mapping(section: SectionHistory, plan: _PlanView, bundle: BundleView) -> None:
    if odd := sorted(plan.steps ^ bundle.steps.keys()):
        raise _contradiction(f"step {odd[0]} of section {section.number} is in its plan or in its bundle, not in both")


def _check_run(run: StepRun, section: SectionHistory, bundles: Mapping[str, BundleView]) -> None:
    step = run.start["step_id"]
    if run.binding is None or not run.bundle:
        raise _contradiction(f"step {step} of section {section.number} ran without a plan and a bundle")
    bundle = bundles[run.bundle]
    if step not in bundle.steps:
        raise _contradiction(f"step {step} of section {section.number} ran and is not in its plan")
    artifact, sha256 = run.start.get("artifact", ""), run.start.get("artifact_sha256", "")
    if bool(artifact) != bool(sha256):
        raise _contradiction(f"step {step} of section {section.number} names an artifact or a digest, not both")
    if artifact and (bundle.artifacts.get(artifact) != sha256 or artifact not in bundle.steps[step]):
        raise _contradiction(
            f"step {step} of section {section.number} ran {artifact}, which is not what bundle {run.bundle[:8]} holds"
        )


def _check_approval(section: SectionHistory, history: History) -> None:
    # The fold has checked who may use an approval and what it binds; here: that it was there before the first step.
    for run in section.runs:
        if run.binding is None or not run.binding["changes"]:
            continue
        used = any(
            seq < run.seq and number == section.number and binding is run.binding and bundle == run.bundle
            for approval in history.approvals.values()
            for seq, number, binding, bundle in approval.uses
        )
        if not used:
            raise _contradiction(
                f"step {run.start['step_id']} of section {section.number} changed something and nothing approved its plan"
            )
        return  # all runs of a section are under one plan: the fold lets none be bound once a step has run


def _contradiction(message: str) -> EvidenceInconsistentError:
    return EvidenceInconsistentError(message)
