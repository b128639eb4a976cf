"""The notebook that this kernel works for: its workspaces, its cells, and what each call is counted as."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.magics._cells import CellKeys, checked_name
from clockwork_nb.magics._context import FrontEnd, Request, current_request, front_end, notebook_file, parameter_names
from clockwork_nb.magics._display import Result, table

if TYPE_CHECKING:
    from clockwork_nb.session import PlanOptions, Session
    from clockwork_nb.session.configuration import CellReport

__all__ = ["Call", "Notebook", "Ran", "binding_value"]


class Call(Struct, frozen=True):
    """Which call this is: the cell's key, and the how-manieth of our magics in this run of the cell, from 1."""

    cell: str
    number: int


class Ran(Struct, frozen=True):
    """What running a ``%%cw`` cell did."""

    key: str
    report: CellReport
    warning: str


class _Place(Struct):
    """One workspace in use: its session and the cells that were run for it."""

    session: Session
    keys: CellKeys = field(default_factory=CellKeys)
    typed: set[str] = field(default_factory=set)


class Notebook(Struct):
    """The state of the extension in one kernel."""

    shell: Any
    last_job: str = ""
    _chosen: str = ""
    _places: dict[str, _Place] = field(default_factory=dict)
    _counted: tuple[str, int] = ("", 0)

    # --- where ------------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The notebook's folder; relative paths in magics start here."""
        return notebook_file(os.environ, self.shell.user_ns).folder

    @property
    def session(self) -> Session:
        """The session of the chosen workspace, made when it is first needed."""
        return self._place().session

    def _place(self) -> _Place:
        if self._chosen not in self._places:
            from clockwork_nb.session import Session
            from clockwork_nb.settings import load_settings

            file = notebook_file(os.environ, self.shell.user_ns)
            session = Session.for_notebook(file.folder, self._chosen or file.stem, settings=load_settings())
            self._places[self._chosen] = _Place(session)
        return self._places[self._chosen]

    def choose(self, name: str) -> None:
        """Use the workspace *name* from here on. Cells that were run before stay with theirs."""
        before = self._chosen
        own = notebook_file(os.environ, self.shell.user_ns).stem
        self._chosen = "" if checked_name(name) == own else name
        try:
            self._place()
        except Exception:
            self._chosen = before
            raise

    # --- who asks ---------------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The request that is being carried out."""
        return current_request(self.shell)

    def front_end(self) -> FrontEnd:
        """How a person who watches can answer."""
        return front_end(self.shell, self.request, headless=self.session.settings.headless)

    def next_call(self) -> Call:
        """Count one call of a magic that plans; a new run of the cell starts at 1 again."""
        request = self.request
        msg_id, number = self._counted
        number = number + 1 if msg_id == request.msg_id else 1
        self._counted = (request.msg_id, number)
        return Call(request.cell_key, number)

    # --- configuration ----------------------------------------------------------------------------------------------

    def run_cell(self, name: str, text: str) -> Ran:
        """Make *text* what the cell declares.

        Raises:
            ConfigurationError: the cell has mistakes; they stay recorded, so a plan fails too.
        """
        place, request = self._place(), self.request
        key = checked_name(name) if name else request.cell_key
        shown = f"cell {name}" if name else f"cell [{request.count}]"
        claim = place.keys.claim(key, request.cell_id, request.count)
        for old in claim.drop:
            place.session.drop_cell(old)
        return Ran(key, place.session.set_cell(key, text, shown=shown), claim.warning)

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable by ``%cw_var``, above every other source."""
        place = self._place()
        place.session.set_variable(name, value)
        place.typed.add(name)

    def variables(self) -> Result:
        """Return every declared variable, its value and where that comes from."""
        rows = [(v["name"], v["value"], v["source"]) for v in self.session.variables_declared()]
        known = {name for name, _, _ in rows}
        waiting = sorted(self._place().typed - known)
        rows += [(name, "(no cell declares it yet)", "%cw_var") for name in waiting]
        return table("variables", ("name", "value", "source"), rows, empty="No cell declares a variable yet.")

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of all resources that the cells declare, sorted; empty while they have mistakes."""
        try:
            declared = self.session.declared()
        except InvalidInputError:
            return ()
        return tuple(sorted(a for cell in declared.values() for a in cell.get("resources", ())))

    def options(self, arguments: Any, *, destroy: bool = False) -> PlanOptions:
        """Return the options in *arguments*, with the notebook's parameters bound first."""
        from clockwork_nb.arguments import plan_options

        self._bind_parameters()
        options = plan_options(arguments, destroy=destroy or bool(getattr(arguments, "destroy", False)))
        return replace(options, var_files=tuple(str(self.folder / name) for name in options.var_files))

    def _bind_parameters(self) -> None:
        """Give declared variables the values of the parameters cell; ``%cw_var`` stays above them."""
        names = parameter_names()
        if not names:
            return
        place = self._place()
        declared = {v["name"] for v in place.session.variables_declared()}
        for name in names:
            if name in declared and name in self.shell.user_ns and name not in place.typed:
                value = binding_value(name, self.shell.user_ns[name])
                place.session.set_variable(name, value, source="parameters")


def binding_value(name: str, value: Any) -> Any:
    """Return *value* in the types of the language: exact decimals for floats; containers are walked, not shared."""
    import math
    from decimal import Decimal

    if value is None or isinstance(value, (str, bool, int, Decimal)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(f"the parameter {name} is not a finite number")
        return int(value) if value.is_integer() else Decimal(repr(value))
    if isinstance(value, (list, tuple, dict)):
        import json

        try:
            return json.loads(json.dumps(value, allow_nan=False), parse_float=Decimal)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInputError(f"the parameter {name} is not plain data: {error}") from error
    raise InvalidInputError(
        f"the parameter {name} is a {type(value).__name__}", hint="Use text, numbers, booleans, lists or mappings."
    )
