"""The description of the log format, made from the code: a page for people, a JSON Schema for tools."""

from __future__ import annotations

import inspect
import re
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from actors.trace import schema as s

INTRO = f"""\
# The log of a run

One JSON object a line (format `{s.FORMAT}`, version {s.VERSION}): first the header, last the end,
between them the events, in order. Fields that have their default (0, "", null, false, nothing in a
list) are left out. There is no clock: `step` is the time. `tcemu log schema` prints this page.
"""


def reference() -> str:
    """The page, in Markdown: every kind of line with every field."""
    parts = [INTRO, section("Every event has", s.Happening, own_fields(s.Happening))]
    clients = section("`clients` of the header", s.Clients, own_fields(s.Clients))
    for kind in s.LINE_TYPES:
        common = s.Happening.__struct_fields__ if issubclass(kind, s.Happening) else ()
        names = [name for name in own_fields(kind) if name not in common]
        parts.append(section(f"`{s.event_name(kind)}`", kind, names))
        parts += [clients] if kind is s.Header else []
    return "\n".join(parts)


def own_fields(kind: type[msgspec.Struct]) -> list[str]:
    """The described fields of a kind of line; a test holds that it is all of them."""
    described = descriptions(kind)
    return [name for name in described if name in kind.__struct_fields__]


def section(title: str, kind: type[msgspec.Struct], names: list[str]) -> str:
    """One kind of line: what it means and a table of its fields."""
    lines = [f"## {title}", "", first_paragraph(kind), ""]
    if names:
        described, hints = descriptions(kind), get_type_hints(kind)
        lines += ["| field | type | meaning |", "|---|---|---|"]
        lines += [f"| `{n}` | {type_text(hints[n])} | {described.get(n, '')} |" for n in names]
        lines.append("")
    return "\n".join(lines)


def first_paragraph(kind: type[msgspec.Struct]) -> str:
    """What a kind of line means."""
    return inspect.getdoc(kind).split("\n\n")[0].replace("\n", " ")  # type: ignore[union-attr]


def descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> what its class says of it, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        for match in re.finditer(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE):
            found[match[1]] = re.sub(r"\s+", " ", match[2]).replace("``", "`")
    return found


def type_text(hint: Any) -> str:
    """A type in words that need no Python."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return "any"
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(arg) for arg in args)
    if origin is dict:
        return f"object of {type_text(args[1])}"
    if origin is tuple:
        parts = ", ".join(map(type_text, args))
        return f"list of {type_text(args[0])}" if args[1:] == (...,) else f"[{parts}]"
    names = {int: "number", str: "text", bool: "true or false", type(None): "null", s.Clients: "object"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def json_schema() -> dict[str, Any]:
    """A JSON Schema of a line."""
    return msgspec.json.schema(s.Line)
