"""The same graph as a ``.cw`` file and as a Terraform file, in three shapes."""

from __future__ import annotations

from collections.abc import Iterator

SHAPES = ("independent", "chain", "layers")
_WIDTH = 10


def needs(shape: str, index: int) -> list[int]:
    """Return the earlier nodes that node *index* refers to."""
    if shape == "chain":
        return [index - 1] if index else []
    if shape == "layers" and index >= _WIDTH:
        above = (index // _WIDTH - 1) * _WIDTH
        return sorted({above + index % _WIDTH, above + (index + 1) % _WIDTH})
    return []


def clockwork(shape: str, count: int) -> str:
    """Return a configuration of *count* files with 2 variables and 2 locals."""

    def lines() -> Iterator[str]:
        yield 'variable "env" {\n  type    = string\n  default = "prod"\n}\n'
        yield 'variable "port" {\n  type    = number\n  default = 8080\n}\n'
        yield 'locals {\n  base = "node-${var.env}"\n  up   = var.port + 1\n}\n'
        for i in range(count):
            refs = "".join(f" ${{file.n{j}.path}}" for j in needs(shape, i))
            yield (
                f'resource "file" "n{i}" {{\n'
                f'  path    = "out/n{i}.txt"\n'
                f'  content = "${{local.base}}-{i} ${{local.up}}{refs}"\n'
                "}\n"
            )

    return "\n".join(lines())


def terraform(shape: str, count: int) -> str:
    """Return the same graph of ``terraform_data``, which needs no provider from outside."""

    def lines() -> Iterator[str]:
        yield 'variable "env" {\n  type    = string\n  default = "prod"\n}\n'
        yield 'variable "port" {\n  type    = number\n  default = 8080\n}\n'
        yield 'locals {\n  base = "node-${var.env}"\n  up   = var.port + 1\n}\n'
        for i in range(count):
            refs = "".join(f" ${{terraform_data.n{j}.input.path}}" for j in needs(shape, i))
            yield (
                f'resource "terraform_data" "n{i}" {{\n'
                "  input = {\n"
                f'    path    = "out/n{i}.txt"\n'
                f'    content = "${{local.base}}-{i} ${{local.up}}{refs}"\n'
                "  }\n}\n"
            )

    return "\n".join(lines())


def shell_steps(count: int) -> str:
    """Return *count* independent no-op shell steps."""
    return "\n".join(f'resource "command" "s{i}" {{\n  script = "true"\n}}\n' for i in range(count))
