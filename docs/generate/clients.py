"""What the recorded clients ask for, and what each kernel leaves of it: by playing them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from msgspec import structs

from actors.cli.leftovers import in_words
from actors.execute.play import PlayResult, play
from actors.kernel.generations import GENERATIONS
from actors.program import Stream, builtin_streams, load_stream
from docs.generate.console import fenced, printed
from docs.generate.tables import code, table

SHORT_CALLS = 1_000
"""Calls up to which a recording is short, and plays in no time."""

MOST_REPEATED = 1_000
"""Calls of one row that are played on the kernels of the past."""

MOST_PLAYED = 20_000
"""Calls of a recording that is played on all of them."""

SECONDS = re.compile(r"(?<=  )\d+\.\d+(?=  )")


@cache
def stream(name: str) -> Stream:
    """A built-in recording."""
    return load_stream(builtin_streams()[name])


@cache
def played(name: str, kernel: str) -> PlayResult:
    """How one of them plays on a kernel."""
    return play(stream(name), kernel)


def shortened(whole: Stream) -> Stream:
    """A recording with no row that stands for more than :data:`MOST_REPEATED` calls."""
    rows = tuple(structs.replace(row, repeat=min(row.repeat, MOST_REPEATED)) for row in whole.program.setup)
    program = structs.replace(whole.program, setup=rows)
    return structs.replace(whole, program=program, calls=sum(row.repeat for row in rows))


def chosen(argument: str) -> list[str]:
    """Names of recordings: all, or the ``short`` or the ``long`` ones."""
    wanted = {"short": (True,), "long": (False,), "": (True, False)}[argument]
    return [name for name in builtin_streams() if (stream(name).calls <= SHORT_CALLS) in wanted]


def abouts(argument: str) -> str:
    """What each recording is of."""
    rows = ((code(name), stream(name).program.about, f"{stream(name).calls:,}") for name in chosen(argument))
    return table(("recording", "what the client does", ">calls"), rows)


def reports(argument: str) -> str:
    """The line of the report of each recording on a kernel; the argument is ``short|long KERNEL``."""
    which, kernel = argument.split()
    rows = (report(played(name, kernel), name) for name in chosen(which))
    head = ("recording", ">calls", ">errors", "replies not as recorded", "left behind", "left by")
    return table(head, rows)


def report(result: PlayResult, name: str) -> tuple[object, ...]:
    """One line: calls, errors, differences by reason, what is left, and why."""
    errors = sum(count.errors for count in result.by_op.values())
    return (
        code(name),
        f"{result.calls:,}",
        f"{errors:,}",
        "; ".join(differences(result)) or "none",
        left(result),
        ", ".join(code(slug) for slug in result.left_by),
    )


def differences(result: PlayResult) -> Iterator[str]:
    """How many replies differ, by reason, whatever the call."""
    counts: dict[str, int] = {}
    for (_, why), count in result.reasons.items():
        counts[why] = counts.get(why, 0) + count
    return (f"{count:,} {why}" for why, count in counts.items())


def left(result: PlayResult) -> str:
    """What is left, or how the kernel broke down."""
    if result.verdict != "ok":
        return f"{result.verdict}: the release never ends" if result.verdict == "livelock" else result.verdict
    return in_words(result.final) if result.final.anything else "nothing"


def leftovers(argument: str) -> str:
    """Recording by kernel: what is left, and the defect that leaves it; very long ones are left out."""
    kernels = [name for name in GENERATIONS if name not in ("fixed", "v6.12")]
    short = [each for each in map(shortened, map(stream, chosen(argument))) if each.calls < MOST_PLAYED]
    rows = ((code(each.program.name), *(brief(play(each, kernel)) for kernel in kernels)) for each in short)
    return table(("", *(code(kernel) for kernel in kernels)), rows)


def brief(result: PlayResult) -> str:
    """What is left in few words."""
    by = ", ".join(code(slug) for slug in result.left_by)
    return f"{left(result)}: {by}" if by else f"nothing; {len(result.differences):,} differ"


def remarks(argument: str) -> str:
    """What the developers of each client should know."""
    told = [(name, remark) for name in chosen(argument) for remark in played(name, "fixed").remarks]
    return "\n".join(f"- {code(name)}: {remark}" for name, remark in told)


def commands(command: str) -> str:
    """A ``tcemu play`` and what it prints, without the seconds that it took."""
    shown = SECONDS.sub(lambda match: "...".rjust(len(match[0])), printed(command))
    return fenced("console", f"$ {command}\n{shown}")
