"""Question files as commands write them: YAML that a person goes on editing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["question_yaml"]


def question_yaml(rows: Sequence[Mapping[str, Any]], *, comment: str = "") -> str:
    """The rows in their order and with their fields in order, a blank line between two, below ``comment``.

    Texts that YAML would read as something else are quoted; each stays on one line.
    """
    blocks = [_block(row) for row in rows]
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return "\n".join(([head] if head else []) + blocks)


def _block(row: Mapping[str, Any]) -> str:
    import yaml

    class Indented(yaml.SafeDumper):
        """Lists stand indented below their key, as people write them."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (PyYAML gives it by name)
            super().increase_indent(flow, False)

    return yaml.dump(
        [dict(row)], Dumper=Indented, sort_keys=False, allow_unicode=True, width=float("inf"), default_flow_style=False
    )
