"""The attributes of a ``terraform`` module."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    Open,
    ProjectFolder,
    ProjectPath,
    Text,
    WholeSeconds,
    each_once,
    refuse,
)

__all__ = ["TerraformConfig"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_WORKSPACE = re.compile(r"[A-Za-z0-9_.~-]{1,90}\Z")


def _variables(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _NAME.match(name):
            raise refuse("vars", f'"{name[:60]!a}" cannot be the name of a terraform variable')
    return dict(sorted(value.items()))


def _workspace(value: str) -> str:
    # What terraform itself takes: a name that is the same in a path of a URL.
    if not _WORKSPACE.match(value):
        raise refuse("workspace", "a workspace's name is made of letters, digits and . _ ~ -, at most 90 of them")
    return value


class TerraformConfig(Attributes):
    """A root module of Terraform or OpenTofu, planned and applied as one."""

    source: ProjectFolder = Field(description="the folder of the root module, relative to the project folder")
    vars: Annotated[dict[str, Any], AfterValidator(_variables), Open] = Field(
        default={}, description="values of the module's variables; may be sensitive where the module says so too"
    )
    var_files: Annotated[list[ProjectPath], Open] = Field(
        default=[], description="files with more variables (.tfvars, .tfvars.json), in order; vars comes after them"
    )
    workspace: Annotated[str, AfterValidator(_workspace), Open] = Field(
        default="default", description="terraform's workspace; made when it is not there"
    )
    outputs: list[Text] | None = Field(
        default=None, exclude=True, description="the outputs that other blocks may use; all of them by default"
    )
    output_names: Annotated[list[Text], AfterValidator(each_once), Open] = Field(
        default=[], description="the same as outputs, which is how it is usually written"
    )
    env: EnvMap = Field(
        default={}, description="environment variables, such as a provider's credentials; values may be sensitive"
    )
    binary: Annotated[Literal["auto", "terraform", "tofu"], Open] = Field(
        default="auto", description="the program that is run; auto takes terraform, else tofu"
    )
    parallelism: Annotated[int, Field(ge=1, le=256), Open] = Field(
        default=10, description="how many things terraform does at a time"
    )
    timeout: WholeSeconds = Field(
        default=3600, description='how long an apply may take: seconds, or text such as "30m"'
    )

    @field_validator("env", mode="after")
    @classmethod
    def _not_ours(cls, value: Any) -> Any:
        if isinstance(value, dict):
            taken = {"TF_DATA_DIR", "TF_INPUT", "TF_IN_AUTOMATION", "TF_WORKSPACE", "CHECKPOINT_DISABLE", "TF_CLI_ARGS"}
            hit = next((n for n in value if n in taken or n.startswith("TF_CLI_ARGS_")), None)
            if hit is not None:
                raise refuse("env", f'"{hit}" is set by the tool itself; use the attributes of the block')
        return value

    @model_validator(mode="after")
    def _one_spelling(self) -> TerraformConfig:
        if self.outputs is not None:
            if self.output_names:
                raise refuse("outputs", '"outputs" and "output_names" are the same attribute; give one of them')
            self.output_names = each_once(self.outputs)
        return self
