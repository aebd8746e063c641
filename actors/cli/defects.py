"""``tcemu defects``: the named defects and differences, and the story of each."""

from __future__ import annotations

from typing import Any

import click

from actors.cli.kernels import heading
from actors.cli.options import NamedGroup, complete_defect, json_option
from actors.cli.subjects import demonstrations
from actors.cli.tables import Column, print_json, print_line, print_table
from actors.kernel.catalogue import find_piece, piece_names
from actors.kernel.composition import Piece
from actors.kernel.generations import GENERATIONS
from actors.program import load_program

EPILOG = """\b
Examples:
  tcemu defects
  tcemu defects show unregister-busy-swallowed
  tcemu stress unregister-busy-swallowed
"""

STORY = (
    ("trigger", "What makes it show"),
    ("symptom", "What one sees"),
    ("commit", "Where it comes from"),
    ("versions", "Versions"),
    ("remedy", "What the mended kernel does"),
)
"""Attribute of a piece -> how its story calls it."""


@click.group("defects", cls=NamedGroup, invoke_without_command=True, epilog=EPILOG)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the known defects, or tell the story of one.

    Each is a switch: --with and --without of the other commands take these names.
    """
    if ctx.invoked_subcommand is not None:
        return
    pieces = piece_names().values()
    if as_json:
        print_json({"defects": [describe(piece) for piece in pieces]})
        return
    columns = (Column("defect"), Column("G", right=True), Column("caught by"), Column("", wraps=True))
    rows = [(p.slug, p.number, " ".join(p.invariants[:2]), p.title) for p in pieces if p.defect]
    print_table(columns, rows)
    print_line()
    rest = [(p.slug, p.title) for p in pieces if not p.defect]
    print_table((Column("difference between versions"), Column("", wraps=True)), rest)
    print_line()
    print_line("tcemu defects show NAME tells the story of one.")


def carriers(piece: type[Piece]) -> list[str]:
    """The kernels that have a piece."""
    return [name for name, generation in GENERATIONS.items() if piece.slug in generation.slugs]


def describe(piece: type[Piece]) -> dict[str, Any]:
    """A piece as JSON values."""
    return {
        "slug": piece.slug,
        "section": f"G.{piece.number}" if piece.number else None,
        "defect": piece.defect,
        "title": piece.title,
        "commit": piece.commit,
        "versions": piece.versions,
        "kernels": carriers(piece),
        "symptom": piece.symptom,
        "trigger": piece.trigger,
        "remedy": piece.remedy,
        "invariants": piece.invariants,
        "failpoints": piece.failpoints,
        "excludes": piece.excludes,
    }


@command.command("show", epilog="\b\nExample:\n  tcemu defects show ioctl-vs-release\n")
@click.argument("slug", metavar="DEFECT", shell_complete=complete_defect)
@json_option
def show(slug: str, as_json: bool) -> None:
    """Tell the story of a defect, and the command that demonstrates it."""
    piece = find_piece(slug)
    if as_json:
        print_json(describe(piece))
        return
    print_line(heading(piece), bold=True)
    print_line(f"{piece.title}.")
    for title, text in story(piece):
        print_line()
        print_line(title, bold=True)
        print_line(text, 2)


def story(piece: type[Piece]) -> list[tuple[str, str]]:
    """The paragraphs of a piece's story, each with its title."""
    told = [(title, str(getattr(piece, name))) for name, title in STORY]
    told.append(("Kernels here", ", ".join(carriers(piece)) or "none, a switch only"))
    told.append(("Caught by", ", ".join(piece.invariants)))
    told.append(("Failure points it needs", ", ".join(piece.failpoints)))
    told.append(("Does not go with", "; ".join(f"{slug}: {why}" for slug, why in piece.excludes.items())))
    told.append(("See it", demonstration(piece)))
    return [(title, text) for title, text in told if text]


def demonstration(piece: type[Piece]) -> str:
    """The command that demonstrates a defect: its own program if there is one, else all of them."""
    if not piece.defect:
        return ""
    if piece.slug in demonstrations():
        told = load_program(demonstrations()[piece.slug]).about
        return f"tcemu stress {piece.slug}" + (" --fail-nth all" if "--fail-nth all" in told else "")
    return f"tcemu stress --kernel fixed --with {piece.slug}"
