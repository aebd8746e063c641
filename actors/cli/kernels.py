"""``tcemu kernels``: the kernels there are, and in what two of them differ."""

from __future__ import annotations

from typing import Any

import click

from actors.cli.options import NamedGroup, complete_kernel, json_option
from actors.cli.tables import Column, plural, print_json, print_line, print_table
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import Kernel, Piece
from actors.kernel.generations import GENERATIONS

EPILOG = """\b
Examples:
  tcemu kernels
  tcemu kernels diff v6.12 fixed
"""


@click.group("kernels", cls=NamedGroup, invoke_without_command=True, epilog=EPILOG)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the kernels, or say in what two of them differ."""
    if ctx.invoked_subcommand is not None:
        return
    if as_json:
        print_json({"kernels": [describe(name) for name in GENERATIONS]})
        return
    columns = (Column("kernel"), Column("defects", right=True), Column("recorded"), Column("", wraps=True))
    rows = [
        (name, len(describe(name)["defects"]), "yes" if generation.recorded else "", generation.about)
        for name, generation in GENERATIONS.items()
    ]
    print_table(columns, rows)
    print_line()
    print_line("tcemu kernels diff A B says in what two of them differ.")


def describe(name: str) -> dict[str, Any]:
    """A kernel as JSON values."""
    generation = GENERATIONS[name]
    pieces = [piece for slug, piece in piece_names().items() if slug in generation.slugs]
    return {
        "name": name,
        "about": generation.about,
        "recorded": generation.recorded,
        "defects": [piece.slug for piece in pieces if piece.defect],
        "differences": [piece.slug for piece in pieces if not piece.defect],
    }


@command.command("diff", epilog="\b\nExample:\n  tcemu kernels diff v6.12 fixed\n")
@click.argument("first", metavar="A", shell_complete=complete_kernel)
@click.argument("second", metavar="B", shell_complete=complete_kernel)
@json_option
def diff(first: str, second: str, as_json: bool) -> None:
    """Say in words in what two kernels differ."""
    one, other = find_kernel(first), find_kernel(second)
    only_one, only_other = only_in(one, other), only_in(other, one)
    if as_json:
        print_json({"a": first, "b": second, "only_a": slugs(only_one), "only_b": slugs(only_other)})
        return
    if not only_one and not only_other:
        print_line(f"{first} and {second} are the same.")
    for name, other_name, pieces in ((first, second, only_one), (second, first, only_other)):
        print_side(name, other_name, pieces)


def only_in(one: Kernel, other: Kernel) -> list[type[Piece]]:
    """The pieces that only the first of two kernels has."""
    return [piece for piece in one.pieces if piece.slug not in other.slugs]


def slugs(pieces: list[type[Piece]]) -> list[str]:
    """Names of pieces."""
    return [piece.slug for piece in pieces]


def print_side(name: str, other: str, pieces: list[type[Piece]]) -> None:
    """Print what one kernel has and the other has not, and what the other does instead."""
    if not pieces:
        return
    print_line(f"{plural(len(pieces), 'thing')} that {name} has and {other} has not:")
    for piece in pieces:
        print_line()
        print_line(heading(piece), 2, bold=True)
        print_line(f"{name}: {piece.title}.", 4)
        if piece.remedy:
            print_line(f"{other}: {piece.remedy}.", 4)
    print_line()


def heading(piece: type[Piece]) -> str:
    """A piece's slug with its section: ``ioctl-vs-release (G 60)``."""
    return f"{piece.slug} (G {piece.number})" if piece.number else piece.slug
