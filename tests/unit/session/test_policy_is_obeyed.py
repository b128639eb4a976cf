"""What the operator's policy makes of a plan: approved without a person, or not; which runtimes and tier."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.forge import tiers
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.confinement import Confinement
from clockwork_nb.forge.runtimes import RUNTIMES
from clockwork_nb.policy import Policy
from clockwork_nb.session.policy import approving_reason, operator_policy, refuse_runtimes, tier_for
from clockwork_nb.settings import Settings, load_settings

PORTS = Policy(auto_approve=frozenset({"ports", "overwrite"}))


@pytest.mark.parametrize(
    ("risks", "covered"),
    [
        ((), True),
        (("ports",), True),
        (("ports", "overwrite"), True),
        (("destroy",), False),
        (("ports", "destroy"), False),
    ],
)
def test_every_risk_class_must_be_listed(risks: tuple[str, ...], covered: bool) -> None:
    assert bool(approving_reason(PORTS, risks)) is covered


def test_an_empty_list_approves_nothing() -> None:
    assert approving_reason(Policy(), ()) == ""
    assert approving_reason(Policy(auto_approve=frozenset()), ("ports",)) == ""


def test_edited_and_flagged_scripts_need_a_person() -> None:
    assert approving_reason(PORTS, ("ports",), edited=["scripts/a.sh"]) == ""
    assert approving_reason(PORTS, ("ports",), flags=["reverse-shell"]) == ""


def step(runtime: str) -> BundleStep:
    return BundleStep(f"x.{runtime}:go", "go", "x.y", (runtime, "scripts/a"), interpreter=f"/usr/bin/{runtime}")


def test_runtimes_can_only_be_narrowed(tmp_path: Path) -> None:
    bundle = Bundle((), (step("sh"), step("python3"), BundleStep("s:e", "e", "s", ("cw:service", "ensure", "s.json"))))
    refuse_runtimes(Policy(), bundle)
    refuse_runtimes(Policy(runtimes=frozenset({"sh", "python3"})), bundle)
    with pytest.raises(UnsafeOperationError) as caught:
        refuse_runtimes(Policy(runtimes=frozenset({"sh"})), bundle)
    assert caught.value.details["steps"] == ["x.python3:go"]
    assert caught.value.exit_code == 8

    settings = load_settings({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
    settings.config.mkdir()
    path = settings.config / "policy.json"
    path.write_text('{"runtimes":["sh","perl"]}')
    path.chmod(0o600)
    with pytest.raises(InvalidInputError, match="runtimes has 'perl'"):
        operator_policy(settings)
    path.write_text(f'{{"runtimes":{list(RUNTIMES)}}}'.replace("'", '"'))
    assert operator_policy(settings).runtimes == frozenset(RUNTIMES)


BASIC = Confinement("basic", 0, "Landlock is not offered by this system (Function not implemented)")


def test_a_machine_that_offers_less_than_demanded_is_refused_with_the_probes_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiers, "probe", lambda: BASIC)
    monkeypatch.setattr(tiers, "probe_strict", lambda: "bubblewrap is not installed")
    settings = load_settings({"HOME": "/nowhere"})
    assert tier_for(settings, Policy()) is BASIC
    assert tier_for(settings, Policy(require_confinement="basic")) is BASIC
    for demand, reason in (("standard", "Landlock is not offered"), ("strict", "bubblewrap is not installed")):
        environment = load_settings({"HOME": "/nowhere", "CW_CONFINEMENT": demand})
        asked: list[tuple[Settings, Policy, tuple[str, ...]]] = [
            (settings, Policy(require_confinement=demand), ()),
            (settings, Policy(), (demand,)),
            (environment, Policy(), ()),
        ]
        for where, policy, demands in asked:
            with pytest.raises(UnsafeOperationError) as caught:
                tier_for(where, policy, *demands)
            assert reason in caught.value.message
            assert caught.value.exit_code == 8
            assert caught.value.details["offered"] == "basic"


def test_strict_is_used_only_when_it_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    standard, strict = Confinement("standard", 7, ""), Confinement("strict", 7, "", "/usr/bin/bwrap")
    monkeypatch.setattr(tiers, "probe", lambda: standard)
    monkeypatch.setattr(tiers, "probe_strict", lambda: strict)
    settings = load_settings({"HOME": "/nowhere"})
    assert tier_for(settings, Policy()) is standard
    assert tier_for(settings, Policy(require_confinement="standard")) is standard
    assert tier_for(settings, Policy(require_confinement="strict")) is strict
    assert tier_for(settings, Policy(require_confinement="strict"), "basic") is strict
    weak = load_settings({"HOME": "/nowhere", "CW_CONFINEMENT": "basic"})
    assert tier_for(weak, Policy(require_confinement="standard")) is standard
