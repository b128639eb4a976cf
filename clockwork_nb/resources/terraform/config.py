"""The attributes of a ``terraform`` module."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from clockwork_nb.resources.config import (
    Attributes,
    EnvMap,
    Open,
    ProjectFolder,
    ProjectPath,
    Text,
    WholeSeconds,
    after,
    each_once,
    judge,
)
from clockwork_nb.resources.terraform.attributes import not_ours, one_list, variables, workspace_name

__all__ = ["TerraformConfig"]


class TerraformConfig(Attributes):
    """A root module of Terraform or OpenTofu, planned and applied as one."""

    source: ProjectFolder = Field(description="the folder of the root module, relative to the project folder")
    vars: Annotated[dict[str, Any], after(variables), Open] = Field(
        default={}, description="values of the module's variables; may be sensitive where the module says so too"
    )
    var_files: Annotated[list[ProjectPath], Open] = Field(
        default=[], description="files with more variables (.tfvars, .tfvars.json), in order; vars comes after them"
    )
    workspace: Annotated[str, after(workspace_name), Open] = Field(
        default="default", description="terraform's workspace; made when it is not there"
    )
    outputs: list[Text] | None = Field(
        default=None, exclude=True, description="the outputs that other blocks may use; all of them by default"
    )
    output_names: Annotated[list[Text], after(each_once), Open] = Field(
        default=[], description="the same as outputs, which is how it is usually written"
    )
    env: Annotated[EnvMap, after(not_ours)] = Field(
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

    @model_validator(mode="after")
    def _one_spelling(self) -> TerraformConfig:
        if self.outputs is not None:
            self.output_names = judge(one_list, self.outputs, self.output_names)
        return self
