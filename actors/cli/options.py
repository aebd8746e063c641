"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class NamedGroup(click.Group):
    """A group that answers an unknown command with the nearest name, or with all of them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            close = get_close_matches(name, known, 1)
            there = f"there {'are' if len(known) > 1 else 'is'} {', '.join(known)}"
            ctx.fail(f"no command {name!r}; " + (f"did you mean {close[0]}?" if close else there))
        return super().resolve_command(ctx, args)


def complete_kernel(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The kernels whose names begin so."""
    from actors.kernel.generations import GENERATIONS  # noqa: PLC0415 - only for completion

    return [CompletionItem(n, help=g.about) for n, g in GENERATIONS.items() if n.startswith(incomplete)]


def complete_defect(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The defects and differences whose slugs begin so."""
    from actors.kernel.catalogue import piece_names  # noqa: PLC0415 - only for completion

    return [CompletionItem(s, help=p.title) for s, p in piece_names().items() if s.startswith(incomplete)]


class Seconds(click.FloatRange):
    """A time above 0 that ends."""

    name = "number"

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"found {value}, expected a number above 0", param, ctx)
        return number


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(command)


def kernel_option(text: str, multiple: bool = False) -> Callable[[F], F]:
    """``--kernel NAME``; the name is judged when the kernel is composed."""
    name = "kernels" if multiple else "kernel"
    return click.option(
        "--kernel", name, metavar="NAME", multiple=multiple, shell_complete=complete_kernel, help=text
    )


def switches(command: F) -> F:
    """``--with`` and ``--without``."""
    for name, flag, text in (("without", "--without", "off"), ("with_", "--with", "on")):
        command = click.option(
            flag,
            name,
            metavar="DEFECT",
            multiple=True,
            shell_complete=complete_defect,
            help=f"Switch a defect {text}; may be repeated.",
        )(command)
    return command
