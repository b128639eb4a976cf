"""Turn a plan into a validated bundle of scripts on disk. Runs nothing of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb.errors import InvalidTransitionError

if TYPE_CHECKING:
    from pathlib import Path

    from clockwork_nb.forge.artifacts import StagedBundle
    from clockwork_nb.forge.bundle import Bundle
    from clockwork_nb.forge.content_flags import Flag
    from clockwork_nb.intake.desired import EnvFacts
    from clockwork_nb.ports import Registry
    from clockwork_nb.session.planning import Planned
    from clockwork_nb.workspace import Workspace

__all__ = ["Built", "build_bundle", "notable_of"]


class Built(Struct, frozen=True, dict=True):
    """A bundle, validated and written to the build folder, with the hand edits it takes in."""

    bundle: Bundle
    staged: StagedBundle
    folder: str
    tier: str = ""

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """The lines that a person has to look at before they run; no rule approves a bundle that has any."""
        from clockwork_nb.forge.content_flags import content_flags

        return tuple(content_flags(self.bundle))

    def to_document(self) -> dict[str, Any]:
        """Return what the views draw: every script with its text, class and walls, how it was edited, its flags."""
        from clockwork_nb.render.bundle import bundle_summary

        contents = {a.path: a.content for a in self.bundle.artifacts if not a.secret}
        summary = bundle_summary(
            self.bundle.to_document(), self.bundle.digest, contents=contents, confinement=self.tier,
            edited=self.staged.edited, diffs=self.staged.diffs, flags=[f.to_dict() for f in self.flags],
        )  # fmt: skip
        kept = [str(p) for p in self.staged.kept]
        return {**summary, "folder": self.folder, "written": list(self.staged.written), "kept": kept}

    def notable_text(self, *, color: bool = False) -> str:
        """Return what the plan does not show and an approver has to see: the edits, the flags, what was put aside.

        Empty when there is none of it.
        """
        from clockwork_nb.render.bundle import notable_text

        kept = [f"Kept      {p}" for p in self.staged.kept]
        if not (self.staged.edited or self.flags):
            return "\n".join(kept)
        return "\n".join([notable_text(self.to_document(), color=color), *kept])

    def text(self, *, color: bool = False) -> str:
        """Return the list of scripts for a terminal."""
        from clockwork_nb.render.bundle import bundle_text

        where = [f"Scripts   {self.folder}", *(f"Kept      {p}" for p in self.staged.kept)]
        return "\n".join([bundle_text(self.to_document(), color=color, removed=self.staged.removed), *where])

    def html(self) -> str:
        """Return the scripts for a notebook, folded, escaped."""
        from clockwork_nb.render.bundle import bundle_html

        return bundle_html(self.to_document())


def notable_of(document: Mapping[str, Any], get_blob: Callable[[str], bytes], build_dir: Path) -> str:
    """Return `Built.notable_text` of a recorded bundle, for who approves it from elsewhere.

    Args:
        document: its ``bundle.json``.
        get_blob: gives the bytes of a digest.
        build_dir: where it was staged; what was generated there last is what edits are compared with.
    """
    from clockwork_nb.forge.artifacts import edits_since_generated
    from clockwork_nb.forge.bundle import Bundle
    from clockwork_nb.forge.content_flags import content_flags
    from clockwork_nb.render.bundle import bundle_summary, notable_text

    bundle = Bundle.from_document(document, get_blob)
    edits = edits_since_generated(bundle.artifacts, build_dir)
    flags = [f.to_dict() for f in content_flags(bundle)]
    return notable_text(bundle_summary(document, bundle.digest, edited=edits, diffs=edits, flags=flags))


def build_bundle(
    planned: Planned,
    workspace: Workspace,
    types: Registry,
    facts: EnvFacts,
    *,
    keep_edits: bool,
    force: bool,
    live: Mapping[str, Any],
) -> Built:
    """Compile *planned*, check it, write it to the build folder and check what the hand edits made of it.

    Raises:
        BundleError (and its kinds): with every finding. ArtifactChangedError: an edit and a new template collide.
        InvalidTransitionError: the plan was answered from a journal and has no values to compile.
    """
    from clockwork_nb.forge.artifacts import stage
    from clockwork_nb.forge.compiler import compile_plan
    from clockwork_nb.forge.validate import check_bundle

    if planned.plan is None:
        raise InvalidTransitionError("a recorded plan cannot be built again", hint="Plan again first.")
    bundle = compile_plan(planned.plan, types, facts)
    check_bundle(bundle, planned.plan.actions)
    staged = stage(bundle, workspace.build_dir, keep_edits=keep_edits, force=force, live=tuple(live))
    if staged.edited or staged.conflicts:
        check_bundle(staged.bundle, planned.plan.actions)
    if any(step.cmd[0] == "go" for step in staged.bundle.steps):
        from clockwork_nb.forge.golang import build_go_steps

        build_go_steps(staged.bundle)
    return Built(staged.bundle, staged, workspace.shown(workspace.build_dir), facts.confinement)
