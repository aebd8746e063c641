"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a column whose head begins with ``>`` is set to the right, with ``^`` to the middle."""
    rules = {">": "---:", "^": ":---:"}
    lines = [[name.lstrip(">^") for name in head], [rules.get(name[:1], "---") for name in head]]
    lines += [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def code(name: object) -> str:
    """A name in the type of code; "" stays empty."""
    return f"`{name}`" if name != "" else ""
