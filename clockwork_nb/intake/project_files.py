"""The files of the project for resource types that take part of their configuration from them (`ports.ProjectFiles`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clockwork_nb.intake.configuration import ResourceDeclaration
from clockwork_nb.intake.expressions import EvaluationError, Evaluator, Scope
from clockwork_nb.intake.function_kit import FunctionError
from clockwork_nb.intake.nodes import Call, Literal, Node
from clockwork_nb.intake.schema import exact
from clockwork_nb.ports import ResourceType

__all__ = ["NamedFiles", "config_with_files"]


def config_with_files(
    kind: ResourceType, config: dict[str, Any], node: ResourceDeclaration, evaluator: Evaluator
) -> dict[str, Any]:
    """Return *config* as its type makes it with the files it names.

    Raises:
        EvaluationError: a file that is not there or cannot be read, a template with a mistake.
    """
    fill = getattr(kind, "with_files", None)
    return config if fill is None else dict(fill(config, NamedFiles(evaluator, node)))


class NamedFiles:
    """The project's files, read through the evaluator, so that its limits hold and its errors have a place.

    Args:
        node: the resource whose attributes name the files.
    """

    def __init__(self, evaluator: Evaluator, node: ResourceDeclaration) -> None:
        self._evaluator = evaluator
        self._node = node
        self._scope = Scope(node.origin)

    def read(self, path: str, *, attribute: str) -> bytes:
        """Return the bytes of *path*.

        Raises:
            EvaluationError: it is not there, cannot be read, or is too large.
        """
        place = self._place(attribute)
        try:
            from clockwork_nb.intake.functions import read_project_file

            data = read_project_file(self._evaluator, path)
        except FunctionError as problem:
            raise self._error(f"{attribute}: {problem}", place, problem.detail, problem.code) from None
        self._evaluator.charge(len(data), place, self._scope)
        return data

    def render(self, path: str, names: Mapping[str, Any], *, attribute: str) -> Any:
        """Return what ``templatefile(path, names)`` gives.

        Raises:
            EvaluationError: as for the function.
        """
        place = self._place(attribute)
        start, end = place.start, place.end
        arguments = (Literal(path, start, end), Literal(exact(dict(names)), start, end))
        return self._evaluator.value(Call("templatefile", arguments, False, end, start, end), self._scope)

    def _place(self, attribute: str) -> Node:
        places: dict[str, Node] = {a.name: a.value for a in self._node.attributes}
        found = places.get(attribute)
        return found if found is not None else next(iter(places.values()), Node(0, 0))

    def _error(self, text: str, place: Node, detail: str, code: str) -> EvaluationError:
        fits = len(text) <= 60
        return self._evaluator.error(
            text if fits else "a file of the project cannot be read", place, self._scope,
            note="" if fits else text, detail=detail, code=code,
        )  # fmt: skip
