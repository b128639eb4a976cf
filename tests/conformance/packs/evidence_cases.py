"""Evidence that contradicts itself, signed by a trusted key: the log, plans, bundles, approvals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.jobpack.layout import NATIVE_EVENTS
from tests.conformance.packs import samples
from tests.conformance.packs.cases import CHAIN, EVIDENCE, Case, good
from tests.conformance.packs.samples import Job, Step
from tests.conformance.packs.tamper import forge, resign, zipped


def _changed(change: Callable[[Job], None], base: Callable[[], Job] = samples.small_job) -> Job:
    job = base()
    change(job)
    return job


def _reline(job: Job, order: list[int]) -> None:
    job.lines, job.events = [job.lines[i] for i in order], [job.events[i] for i in order]


def _rebuilt(*skip: str, **edits: Callable[[dict[str, Any]], dict[str, Any]]) -> Job:
    """Return the small job written again, chained anew: events of the types *skip* left out, payloads edited."""
    source = samples.small_job()
    job = Job(job_id=source.job_id, name=source.name)
    job.blobs = dict(source.blobs)
    named = {name.replace("__", "."): change for name, change in edits.items()}
    for event in source.events:
        if event.type not in skip:
            payload = dict(event.payload)
            if event.type == "job.sealed":  # a seal that fits, or every case would end there
                payload = {"count": job.seq, "head": job.events[-1].hash}
            change = named.get(event.type)
            job.add(event.type, **(change(payload) if change else payload))
    return job


def _more(job: Job, event_type: str, **payload: Any) -> Job:
    job.add(event_type, **payload)
    return job


def evidence() -> Iterator[Case]:
    """The log itself is wrong, and a trusted key signs it."""
    n = samples.small_job().seq
    started = next(e.seq for e in samples.small_job().events if e.type == "step.started")

    def case(label: str, job: Job, *codes: str) -> Case:
        return Case(f"S-{label}", forge(job), codes)

    yield case("gap", _changed(lambda j: _reline(j, [i for i in range(n) if i != 5])), CHAIN)
    yield case("twice", _changed(lambda j: _reline(j, [*range(6), 5, *range(6, n)])), CHAIN)
    yield case("reordered", _changed(lambda j: _reline(j, [0, 2, 1, *range(3, n)])), CHAIN)
    yield case("first-missing", _changed(lambda j: _reline(j, list(range(1, n)))), CHAIN)

    def misnumbered(job: Job) -> None:
        job.skip = 1
        job.add("log.recovered", offset=1, bytes=1, saved="x")

    yield case("number-left-out", _changed(misnumbered), CHAIN)

    def torn(job: Job) -> None:
        job.lines[-1] = job.lines[-1][:-1]

    yield case("torn-tail", _changed(torn), CHAIN)

    def reworded(job: Job) -> None:
        job.lines[started] = job.lines[started].replace(b"2026", b"2027")

    yield case("edited-record", _changed(reworded), CHAIN)

    def spaced(job: Job) -> None:
        job.lines[3] = job.lines[3].replace(b'","', b'", "', 1)

    yield case("other-spelling", _changed(spaced), CHAIN)

    def foreign(job: Job) -> None:
        other = Job(job_id="job_other")
        job.header, job.genesis = other.header, other.genesis

    yield case("foreign-genesis", _changed(foreign), CHAIN)

    def edited_genesis(job: Job) -> None:
        job.genesis = job.genesis.replace(b"small", b"smell")

    yield case("edited-genesis", _changed(edited_genesis), CHAIN)

    epoch_job = samples.open_job(job_id="job_small", name="small")
    epoch_job.epoch = 3
    epoch_job.add("lease.taken", runner_id="r", host_id="h", ttl_ms=1, tool_version="0.1.0", takeover=True)
    epoch_job.epoch = 2
    epoch_job.add("job.status", from_="running", to="paused")
    yield case("epoch-goes-back", epoch_job, CHAIN)
    eternal = _rebuilt(lease__taken=lambda p: {**p, "ttl_ms": 2**53 - 1})
    yield Case("S-lease-without-end", zipped(resign({**good(), NATIVE_EVENTS: eternal.log}, eternal)), (EVIDENCE,))
    yield case(
        "two-finished", _more(samples.small_job(), "job.finished", status="completed", reason_codes=[]), EVIDENCE
    )
    yield case("after-the-end", _more(samples.small_job(), "job.status", from_="completed", to="running"), EVIDENCE)
    yield case("status-is-not-the-fold", _rebuilt(job__finished=lambda p: {**p, "status": "canceled"}), EVIDENCE)
    yield case("impossible-move", _rebuilt(job__status=lambda p: {**p, "to": "queued"}), EVIDENCE)
    yield case("completed-without-start", _rebuilt("step.started"), EVIDENCE)
    yield case("seals-another-log", _rebuilt(job__sealed=lambda p: {**p, "count": 3}), EVIDENCE)
    yield case("no-approval-used", _rebuilt("approval.used"), EVIDENCE)
    yield case("no-approval-at-all", _rebuilt("approval.used", "approval.granted", "approval.requested"), EVIDENCE)
    yield case("not-granted", _rebuilt("approval.granted"), EVIDENCE)

    def other_plan(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "binds": {**payload["binds"], "plan": "0" * 64}}

    yield case(
        "approval-of-another-plan", _rebuilt(approval__requested=other_plan, approval__granted=other_plan), EVIDENCE
    )

    def expired(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "expires_at": "2026-11-22T00:00:01.500000Z"}

    yield case("approval-expired", _rebuilt(approval__granted=expired), EVIDENCE)
    yield case("used-in-another-section", _rebuilt(approval__used=lambda p: {**p, "section": 9}), EVIDENCE)
    yield case(
        "approved-for-another-checkpoint", _rebuilt(approval__granted=lambda p: {**p, "checkpoint_seq": 1}), EVIDENCE
    )
    yield case(
        "step-not-in-plan",
        _step_of(planned=samples.STEPS[:1], bundled=samples.STEPS[:2], ran=samples.STEPS[:2]),
        EVIDENCE,
    )
    yield case(
        "step-not-in-bundle",
        _step_of(planned=samples.STEPS[:2], bundled=samples.STEPS[:1], ran=samples.STEPS[:2]),
        EVIDENCE,
    )
    yield case(
        "plan-has-more-than-bundle",
        _step_of(planned=samples.STEPS[:2], bundled=samples.STEPS[:1], ran=samples.STEPS[:1]),
        EVIDENCE,
    )
    yield case("artifact-not-in-bundle", _rebuilt(step__started=lambda p: {**p, "artifact_sha256": "1" * 64}), EVIDENCE)
    yield case("artifact-of-another-step", _rebuilt(step__started=lambda p: {**p, "artifact": "evil.sh"}), EVIDENCE)
    yield case(
        "artifact-without-digest",
        _rebuilt(step__started=lambda p: {k: v for k, v in p.items() if k != "artifact_sha256"}),
        EVIDENCE,
    )
    invented = _rebuilt(step__started=lambda p: {k: v for k, v in p.items() if k != "artifact"})
    yield case("digest-without-artifact", invented, EVIDENCE)
    yield case("step-without-plan", _planless(), EVIDENCE)
    twins = samples.plan_document(samples.STEPS[:1] * 2, section=1, serial=0)
    numbered = {**twins, "actions": {"steps": [{"id": 1}, {"id": "a"}]}}
    yield case("plan-ids-are-no-text", bound_to(plan=canonical_json(numbered)), EVIDENCE)
    yield case("plan-has-twins", bound_to(plan=canonical_json(twins)), EVIDENCE)
    yield case("plan-of-another-configuration", _configured(), EVIDENCE)
    yield case("plan-is-no-plan", bound_to(plan=b"[]"), EVIDENCE)
    yield case("plan-is-deep", bound_to(plan=b"[" * 100_000), EVIDENCE)
    elsewhere = {"step_id": "evil:step"}
    unknown = _rebuilt(
        step__started=lambda p: {k: v for k, v in {**p, **elsewhere}.items() if not k.startswith("artifact")},
        step__output=lambda p: {**p, **elsewhere},
        step__completed=lambda p: {**p, **elsewhere},
    )
    yield case("step-nobody-planned", unknown, EVIDENCE)
    artifact, step = {"path": "a.sh", "sha256": "1" * 64}, {"id": "a:b", "run": {"cmd": ["sh", "a.sh"]}}
    for label, document in {
        "path-is-a-number": {"artifacts": [{**artifact, "path": 1}], "steps": []},
        "digest-is-no-digest": {"artifacts": [{**artifact, "sha256": "../evil"}], "steps": []},
        "path-twice": {"artifacts": [artifact, artifact], "steps": []},
        "id-is-a-list": {"artifacts": [], "steps": [{**step, "id": []}]},
        "id-twice": {"artifacts": [], "steps": [step, step]},
        "argv-of-numbers": {"artifacts": [], "steps": [{**step, "run": {"cmd": [1, 2]}}]},
    }.items():
        bad = canonical_json(document)
        job = bound_to(bundle=bad)
        files = {**good(), NATIVE_EVENTS: job.log, "clockwork/sections/1/bundle.json": bad}
        yield Case(f"S-bundle-{label}", zipped(resign(files, job)), (EVIDENCE,))
    no_bundle = b'{"artifacts":[{"path":1}],"steps":[]}'
    job = bound_to(bundle=no_bundle)
    files = {**good(), NATIVE_EVENTS: job.log, "clockwork/sections/1/bundle.json": no_bundle}
    yield Case("S-bundle-is-no-bundle", zipped(resign(files, job)), (EVIDENCE,))


def _step_of(*, planned: tuple[Step, ...], bundled: tuple[Step, ...], ran: tuple[Step, ...]) -> Job:
    plan = canonical_json(samples.plan_document(planned, section=1, serial=0))
    bundle = canonical_json(samples.bundle_document(bundled))
    return bound_to(plan=plan, bundle=bundle, ran=ran, also=bundled)


def bound_to(
    *, plan: bytes = b"", bundle: bytes = b"", ran: tuple[Step, ...] = samples.STEPS[:1], also: tuple[Step, ...] = ()
) -> Job:
    """Return a finished job whose section binds these documents instead of its own, consistently approved."""
    job = samples.open_job(job_id="job_small", name="small")
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    mine = {
        "plan": job.blob(plan or canonical_json(samples.plan_document(ran, section=1, serial=0))),
        "bundle": job.blob(bundle or canonical_json(samples.bundle_document(ran))),
    }
    for step in (*ran, *also):
        job.blob(step.script)
    common = {"configuration": samples.configuration_digest(1), "lineage": "", "serial": 0}
    job.add("plan.bound", section=1, plan=mine["plan"], changes=1, **common)
    job.add("bundle.bound", section=1, bundle=mine["bundle"])
    job.add("policy.bound", section=1, policy="2" * 64)
    binds = {**common, **mine, "policy": "2" * 64, "environment": digest({"environment": 1})}
    approval, checkpoint = samples.ask(job, 1, binds)
    samples.grant(job, approval, checkpoint, binds, reason="go")
    samples.run_steps(job, 1, ran, approval)
    job.add("section.closed", section=1, outcome="completed", done=len(ran), failed=0, skipped=0)
    samples.close_job(job)
    return job


def _planless() -> Job:
    job = samples.open_job(job_id="job_small", name="small")
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    job.blob(samples.STEPS[0].script)
    samples.run_step(job, 1, 0, samples.STEPS[0])
    job.add("section.closed", section=1, outcome="completed", done=1, failed=0, skipped=0)
    samples.close_job(job)
    return job


def _configured() -> Job:
    document = samples.plan_document(samples.STEPS[:1], section=1, serial=0)
    return bound_to(plan=canonical_json({**document, "configuration": "9" * 64}))
