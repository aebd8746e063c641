"""The reference: commands, ioctls, invariants, operations, each from the code that has them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

import click

from actors.check.invariants import FINDINGS, INVARIANTS, VERDICTS
from actors.cli.app import SUMMARIES, app
from actors.kernel import uapi
from actors.kernel.container import Container
from actors.kernel.spapr_tce import HANDLERS
from actors.program.ops import OPS
from actors.trace.plain import LAYOUTS
from docs.generate.console import ROOT, fenced
from docs.generate.tables import code, table

WHEN = {
    "step": "no operation in the middle",
    "return": "a system call returns",
    "access": "at the access",
    "message": "a request begins",
    "quiescence": "nothing is in flight",
    "end": "all is closed and gone",
}

STRUCTS: dict[int, tuple[struct.Struct, type[tuple[Any, ...]]]] = {
    uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO: (uapi.TCE_INFO, uapi.TceInfo),
    **LAYOUTS,
    uapi.VFIO_GROUP_GET_STATUS: (uapi.GROUP_STATUS, uapi.GroupStatus),
}
"""Request -> the layout of what is passed, and the names of its fields."""


def cli(_: str) -> str:
    """What every command says of itself."""
    settings = app.context_settings | {"terminal_width": 100}
    with click.Context(app, info_name="tcemu", **settings) as context:
        parts = [fenced("text", app.get_help(context))]
        for name in SUMMARIES:
            command = app.get_command(context, name)
            assert command is not None
            parts += helps(command, f"tcemu {name}", context, 2)
    return "\n".join(parts)


def helps(command: click.Command, name: str, parent: click.Context, level: int) -> Iterator[str]:
    """A command's help under a heading, and that of its own commands."""
    command._help_option = None  # Click keeps the one that was made first, whatever its names were.
    with click.Context(
        command, parent=parent, info_name=name.rpartition(" ")[2], terminal_width=100
    ) as context:
        yield f"{'#' * level} {name}\n"
        yield fenced("text", command.get_help(context))
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                assert found is not None
                yield from helps(found, f"{name} {sub}", context, level + 1)


def invariants(_: str) -> str:
    """Every invariant: what must hold, when that is judged, and where."""
    rows = (
        (
            code(name),
            invariant.sentence,
            WHEN[invariant.when],
            module(invariant.module),
            "noted" if name in FINDINGS else "ends the run",
        )
        for name, invariant in INVARIANTS.items()
    )
    return table(("", "what must hold", "judged when", "in", "a breach"), rows)


def module(name: str) -> str:
    """A module of the oracles as a link; what is a function there stays a name."""
    there = (ROOT / "actors" / "check" / f"{name}.py").exists()
    return f"[`{name}`](../actors/check/{name}.py)" if there else code(name)


def verdicts(_: str) -> str:
    """What a run can come to."""
    return table(("verdict", "what it means"), ((code(name), text) for name, text in VERDICTS.items()))


def ioctls(_: str) -> str:
    """Every request: who takes it, what it says of itself, and the struct that is passed."""
    return "\n".join(ioctl(number, name) for number, name in sorted(uapi.REQUEST_NAMES.items()))


def ioctl(number: int, name: str) -> str:
    """One request as a section."""
    taken = [f"v{2 if v2 else 1}" for v2, handlers in HANDLERS.items() if number in handlers]
    handler = next((handlers[number] for handlers in HANDLERS.values() if number in handlers), None)
    who = f"{' and '.join(taken)}: `{handler}`" if handler else "answered by the VFIO core"
    lines = [f"### {name}", "", f"`{number:#x}`, {who}.", ""]
    if handler is not None:
        lines += told(getattr(Container, handler).__doc__ or "")
    if number in STRUCTS:
        lines += [layout(*STRUCTS[number]), ""]
    return "\n".join(lines)


def told(docstring: str) -> Iterator[str]:
    """The docstring up to its sections, as Markdown."""
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        text = " ".join(paragraph.split()).replace("``", "`")
        if re.match(r"(Args|Returns|Raises|Context|Kernel):", text):
            return
        yield from (text, "")


def layout(layout: struct.Struct, fields: type[tuple[Any, ...]]) -> str:
    """The struct, field by field."""
    sizes = [struct.calcsize(f"<{letter}") for letter in layout.format.lstrip("<")]
    names = getattr(fields, "_fields")  # noqa: B009 - of a NamedTuple, whatever its type
    offsets = [sum(sizes[:at]) for at in range(len(sizes))]
    rows = zip(offsets, (f"__u{size * 8}" for size in sizes), map(code, names), strict=True)
    return table((">at", "type", "field"), rows)


def operations(_: str) -> str:
    """Every operation of a program file: who does it, and its fields."""
    rows = (
        (code(name), op.who, ", ".join(map(code, op.required)), ", ".join(map(code, op.optional)))
        for name, op in OPS.items()
        if op.who != "stream"
    )
    return table(("op", "done by", "fields", "may be left out"), rows)
