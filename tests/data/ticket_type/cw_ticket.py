"""A resource whose number nobody knows before it is there: each one made takes the next number of ``office/counter``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.scripts import require_known, sh_script

_ISSUE = """\
number=$(( $(cat office/counter 2>/dev/null || echo 0) + 1 ))
echo "$number" > office/counter
echo "issued $CW_PATH" >> office/log
mkdir -p -- "$(dirname -- "$CW_PATH")"
printf '%s %s\\n' "$number" "$CW_FOR" > "$CW_PATH"
"""
_RETURN = """\
echo "returned $CW_PATH" >> office/log
rm -f -- "$CW_PATH"
"""


class TicketConfig(BaseModel):
    """``path``: where it lies. ``holder``: whose it is, another one is another ticket. ``note`` changes in place."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str = Field(description="where it lies")
    holder: str = Field(default="me", description="whose it is")
    note: str = Field(default="", description="changes in place")


class TicketType:
    name = "ticket"
    aliases: tuple[str, ...] = ()
    summary = "a ticket with a number"
    verifies = False

    def model(self) -> type[Any]:
        return TicketConfig

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**config, "number": Unknown("known after apply")}

    def export_names(self) -> frozenset[str]:
        return frozenset({"number"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(name for name in ("path", "holder") if before[name] != after[name])

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        return (f"path:{config['path']}",) if isinstance(config["path"], str) else ()

    def import_id(self, config: Mapping[str, Any]) -> str:
        return str(config["path"])

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        if observed.exists is False:
            return {"path": (config["path"], None)}
        seen = observed.attributes.get("holder", config["holder"])
        return {} if seen == config["holder"] else {"holder": (config["holder"], seen)}

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        out = []
        if change in {"delete", "replace"} and recorded is not None:
            out.append(ActionSpec("remove_ticket", {"path": recorded["path"]}, timeout_s=20, idempotent=True))
        if change in {"create", "update", "replace"} and config is not None:
            args = {"path": config["path"], "holder": config["holder"]}
            out.append(ActionSpec("issue_ticket", args, timeout_s=20, idempotent=True))
        return out

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        return ("destroy",) if change == "delete" else ()

    def describe(self, config: Mapping[str, Any]) -> str:
        return str(config["path"])

    def compile(self, action: Action) -> CompiledStep:
        require_known(action)
        issues = action.name == "issue_ticket"
        script = sh_script(action, "issue a ticket" if issues else "return a ticket", _ISSUE if issues else _RETURN)
        return CompiledStep(
            (script,),
            ("sh", script.path),
            vars={"CW_PATH": str(action.args["path"]), "CW_FOR": str(action.args.get("holder", ""))},
            write=(str(action.args["path"]), "office/"),
        )

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        try:
            number, holder = (context.root / config["path"]).read_text().split()
        except (OSError, TypeError, ValueError):
            return Observation(False, detail="no ticket")
        return Observation(True, {"number": number, "holder": holder}, f"number {number}")


TYPE = TicketType()
