"""What is there already is taken over: nothing is made, what differs is put right, and a wrong id is refused."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import ConfigurationError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Observation
from clockwork_nb.secrets import Sensitive

X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
"""SHA-256 of "x"."""


def there(**attributes: Any) -> Observation:
    return Observation(True, {"sha256": X, "mode": "0644", **attributes}, "a file")


def refused(world: Any, wanted: Any, observations: Any, **options: Any) -> Any:
    with pytest.raises(ConfigurationError) as caught:
        world.plan(wanted, None, observations, **options)
    return caught.value


def test_what_is_as_it_is_declared_is_taken_over_without_a_step(world: Any) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "out/a"})
    plan = world.plan(wanted, None, {"file.a": there()})
    change = world.change(plan, "file.a")
    assert world.kinds(plan) == {"file.a": "import"} and plan.actions == () and plan.has_changes
    assert (change.imported, change.reason, change.risk) == ("out/a", "taken over as it is", ())
    assert change.identity["sha256"] == X and "path" not in change.identity
    assert world.plan(wanted, world.applied(plan), {"file.a": there()}).is_empty


def test_what_differs_is_put_right_and_shown_as_drift(world: Any) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "out/a"})
    plan = world.plan(wanted, None, {"file.a": there(mode="0600")})
    change = world.change(plan, "file.a")
    assert (change.kind, change.imported) == ("update", "out/a")
    assert change.reason == "taken over, changed outside: mode" and change.risk == ("overwrite",)
    assert [d.address for d in plan.drift] == ["file.a"] and world.order(plan) == ["file.a:write_file"]


def test_what_is_recorded_already_is_left_alone_and_the_id_is_not_looked_at(world: Any) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "something else"})
    state = world.apply(world.desired(world.file("a")))
    assert world.plan(wanted, state, {"file.a": there()}).is_empty


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Observation(False, detail="no such file"), "no such file"),
        (Observation(None, detail="cannot tell"), "cannot tell"),
        (None, "nobody looked"),
    ],
)
def test_what_is_not_there_for_sure_is_refused(world: Any, seen: Any, words: str) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "out/a"})
    error = refused(world, wanted, {"file.a": seen} if seen else {})
    (found,) = error.diagnostics
    assert (found.code, found.summary, found.address) == ("cw-import", 'there is no file "out/a"', "file.a")
    assert words in found.detail and found.subject is not None


def test_an_id_of_another_thing_is_refused_with_both(world: Any) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "out/b"})
    (found,) = refused(world, wanted, {"file.a": there()}).diagnostics
    assert found.summary == "the block is about another file"
    assert '"out/a"' in found.detail and '"out/b"' in found.detail


def test_a_type_without_an_id_cannot_be_imported(world: Any) -> None:
    wanted = world.desired(world.resource("command.c", script="true"), imports={"command.c": "c"})
    (found,) = refused(world, wanted, {"command.c": Observation(True)}).diagnostics
    assert found.summary == "a command cannot be imported"


def test_an_unknown_config_cannot_be_imported_yet(world: Any) -> None:
    wanted = world.desired(world.file("a", Unknown("later")), imports={"file.a": "out/a"})
    (found,) = refused(world, wanted, {"file.a": there()}).diagnostics
    assert found.summary == "file.a is not known yet"


def test_all_that_cannot_be_imported_is_told_at_once(world: Any) -> None:
    wanted = world.desired(*(world.file(n) for n in "abc"), imports={f"file.{n}": f"out/{n}" for n in "cab"})
    error = refused(world, wanted, {"file.b": there()})
    assert [d.address for d in error.diagnostics] == ["file.a", "file.c"]
    assert error.message == "2 imports cannot be made; nothing was planned."


def test_what_the_plan_is_not_about_is_not_imported_and_not_in_its_way(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.file("b"), imports={"file.a": "nothing"})
    assert world.kinds(world.plan(wanted, None, {}, targets=["file.b"])) == {"file.b": "create"}
    assert world.kinds(world.plan(wanted, None, {}, excluded=["file.a"])) == {"file.b": "create"}
    refused(world, wanted, {}, targets=["file.a"])


def test_nothing_is_imported_to_be_destroyed(world: Any) -> None:
    wanted = world.desired(world.file("a"), imports={"file.a": "nothing"})
    assert world.plan(wanted, None, {}, destroy=True).changes == ()


def test_a_sensitive_content_is_taken_over_by_its_digest(world: Any) -> None:
    wanted = world.desired(world.file("a", Sensitive("x")), imports={"file.a": "out/a"})
    plan = world.plan(wanted, None, {"file.a": Observation(True, {"mode": "0644"})})
    assert world.change(plan, "file.a").kind == "import"
    assert b'"content":"x"' not in plan.document_bytes()
    assert world.plan(wanted, world.applied(plan)).is_empty


def test_the_order_of_what_stands_on_an_import_is_kept(world: Any) -> None:
    wanted = world.desired(world.file("a"), world.file("b", needs=["file.a"]), imports={"file.a": "out/a"})
    plan = world.plan(wanted, None, {"file.a": there(mode="0600")})
    assert world.order(plan) == ["file.a:write_file", "file.b:write_file"]
