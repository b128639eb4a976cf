"""What the machine decides, and what an earlier apply found out, as part of a configuration's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.secrets import Sensitive

MACHINE = {"os": "linux", "engine": "podman"}


class JarConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    engine: str = "auto"
    path: str = "p"


class Jar:
    """Its engine is the machine's; ``id`` and ``weight`` are known after apply."""

    name = "jar"
    aliases = ("pot",)
    summary = "a jar"
    verifies = False

    def model(self) -> type[Any]:
        return JarConfig

    def with_facts(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        if config["engine"] not in {"auto", facts["engine"]}:
            raise InvalidInputError(f"{config['engine']} is not here", hint="Install it.")
        return {**config, "engine": facts["engine"]}

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**config, "id": Unknown("later"), "weight": Unknown("later")}

    def export_names(self) -> frozenset[str]:
        return frozenset({"id", "weight"})


def language(make_language: Callable[..., Any]) -> Any:
    jar: Any = Jar()
    return make_language({"jar": jar, "pot": jar})


def here(**more: Any) -> EvaluationContext:
    return EvaluationContext(facts=lambda name: MACHINE, **more)


def test_what_the_machine_decides_is_part_of_the_config_and_of_what_others_see(make_language: Any) -> None:
    result = language(make_language).run('jar "a" {}\noutput "e" { value = pot.a.engine }\n', context=here())
    assert result.output("e") == "podman"
    assert result.desired.resources["jar.a"].config["engine"] == "podman"


def test_without_facts_it_stays_open(make_language: Any) -> None:
    result = language(make_language).run('jar "a" {}\noutput "e" { value = jar.a.engine }\n')
    assert result.output("e") == "auto"


def test_what_the_machine_lacks_is_a_mistake_at_the_block_and_told_once(make_language: Any) -> None:
    text = 'jar "a" { engine = "docker" }\noutput "e" { value = jar.a.engine }\n'
    result = language(make_language).run(text, context=here())
    (found,) = result.found.sorted()
    assert (found.code, found.summary, found.detail) == ("cw-machine", "docker is not here", "Install it.")
    assert found.address == "jar.a" and found.subject.begin.line == 1
    assert "jar.a" not in result.desired.resources and result.desired.outputs == ()


def test_the_engine_is_looked_for_only_where_one_is_needed(make_language: Any) -> None:
    asked: list[bool] = []

    def facts(engine: bool) -> Mapping[str, Any]:
        asked.append(engine)
        return MACHINE

    class Sealed(Jar):
        def needs_engine(self, config: Mapping[str, Any]) -> bool:
            return bool(config["path"] == "sealed")

    jar: Any = Sealed()
    text = 'jar "a" {}\njar "b" { path = "sealed" }\n'
    make_language({"jar": jar}).run(text, context=EvaluationContext(facts=facts))
    language(make_language).run('pot "a" {}\n', context=EvaluationContext(facts=facts))
    assert asked == [False, True, False]


def test_what_an_apply_found_out_is_known_and_the_rest_says_where_it_comes_from(make_language: Any) -> None:
    def recorded(address: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (address, config) == ("jar.a", {"engine": "podman", "path": "p"})
        return {"id": "j1", "path": "not to be taken from here", "stray": 1}

    text = 'jar "a" {}\noutput "o" { value = [jar.a.id, jar.a.path] }\noutput "w" { value = jar.a.weight }\n'
    result = language(make_language).run(text, context=here(recorded=recorded))
    assert result.output("o") == ["j1", "p"]
    unknown = result.output("w")
    assert isinstance(unknown, Unknown) and unknown.why == "jar.a.weight is known only after apply"


def test_what_nobody_refers_to_is_not_asked_for(make_language: Any) -> None:
    def recorded(address: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError(address)

    assert not language(make_language).run('jar "a" {}\n', context=here(recorded=recorded)).found


def test_numbers_found_out_are_exact_and_secrets_stay_secret(make_language: Any) -> None:
    found = {"weight": 0.1, "id": Sensitive("hunter22")}
    context = here(recorded=lambda address, config: found)
    text = 'jar "a" {}\noutput "w" { value = jar.a.weight + 0.2 == 0.3 }\njar "b" { path = "x${jar.a.id}" }\n'
    result = language(make_language).run(text, context=context)
    assert result.output("w") is True
    path = result.desired.resources["jar.b"].config["path"]
    assert isinstance(path, Sensitive) and path.value == "xhunter22"


def test_an_unknown_value_stays_unknown_through_templates_and_functions(make_language: Any) -> None:
    text = 'jar "a" {}\njar "b" { path = upper("p/${jar.a.id}") }\n'
    result = language(make_language).run(text, context=here())
    assert not result.found
    made = result.desired.resources["jar.b"]
    assert contains_unknown(made.config["path"]) and made.dependencies == ("jar.a",)
