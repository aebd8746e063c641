"""What recorded clients leave behind, as values and as the tables of ``tcemu play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from actors.cli.tables import Cell, Column, plural, print_line, print_table
from actors.execute.play import Ending, PlayResult, Remains

COLUMNS = (
    Column("stream"),
    Column("kernel"),
    Column("calls", right=True),
    Column("errors", right=True),
    Column("differ", right=True),
    Column("seconds", right=True),
    Column("left behind", wraps=True),
)
KILL_COLUMNS = (
    Column("stream"),
    Column("kernel"),
    Column("killed at", right=True),
    Column("clean", right=True),
    Column("first that is not", wraps=True),
)


class Killed(NamedTuple):
    """What killing one client at several points came to."""

    file: str
    kernel: str
    endings: list[tuple[int, Ending]]

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        kills = [
            {
                "call": point,
                "clean": ending.clean,
                "borrowed": None if ending.borrowed is None else ending.borrowed._asdict(),
                "final": ending.final._asdict(),
                "verdict": ending.verdict,
                "message": ending.message,
            }
            for point, ending in self.endings
        ]
        return {"file": self.file, "kernel": self.kernel, "kills": kills}


def is_well(result: PlayResult | Killed) -> bool:
    """Whether the kernel came through, nothing was left, and every difference has a reason."""
    if isinstance(result, Killed):
        return all(ending.clean for _, ending in result.endings)
    clean = Ending(result.borrowed, result.final, result.verdict).clean
    return clean and not result.unexplained


def show(results: Sequence[PlayResult | Killed]) -> None:
    """Print the tables, and below them what there is to say of each stream."""
    plays = [result for result in results if isinstance(result, PlayResult)]
    kills = [result for result in results if isinstance(result, Killed)]
    if plays:
        print_table(COLUMNS, [play_row(result) for result in plays])
        for result in plays:
            print_notes(result)
    if kills:
        print_table(KILL_COLUMNS, [kill_row(result) for result in kills])


def stem(file: str) -> str:
    """The name of a stream from that of its file."""
    return Path(file).name.removesuffix(".gz").removesuffix(".jsonl")


def play_row(result: PlayResult) -> tuple[Any, ...]:
    """A play as a row of the table."""
    return (
        stem(result.file),
        result.kernel,
        result.calls,
        sum(count.errors for count in result.by_op.values()),
        len(result.differences) + len(result.out_differences),
        result.seconds,
        left(Ending(result.borrowed, result.final, result.verdict, result.message)),
    )


def kill_row(result: Killed) -> tuple[Any, ...]:
    """The kills of a client as a row of the table."""
    clean = sum(ending.clean for _, ending in result.endings)
    first = next(((point, ending) for point, ending in result.endings if not ending.clean), None)
    told = Cell("", "") if first is None else left(first[1])
    what = told if first is None else Cell(f"after {plural(first[0], 'call')}: {told.text}", told.colour)
    points = plural(len(result.endings), "point")
    return (stem(result.file), result.kernel, points, clean, what)


def left(ending: Ending) -> Cell:
    """What is left at an end, or how the kernel broke down."""
    if ending.verdict != "ok":
        return Cell(f"{ending.verdict}: {ending.message}", "red")
    if ending.final.anything:
        return Cell(in_words(ending.final), "red")
    if not ending.clean and ending.borrowed is not None:
        return Cell(f"while borrowed {in_words(ending.borrowed)}", "red")
    return Cell("nothing", "green")


def in_words(remains: Remains) -> str:
    """What is left, the zeros left out."""
    counts = remains._asdict().items()
    return ", ".join(
        plural(count, name.replace("_", " ").removesuffix("s")) for name, count in counts if count
    )


def print_notes(result: PlayResult) -> None:
    """Say of one play why replies differ, what is behind what is left, and what its client does wrong."""
    reasons = [
        f"{plural(count, 'reply')} to {op} not as recorded: {why}"
        for (op, why), count in result.reasons.items()
    ]
    behind = [f"left by {slug}; tcemu defects show {slug}" for slug in result.left_by]
    warned = [f"{place} warned: {message}" for message, place in result.warnings[:3]]
    notes = [*behind, *warned, *result.remarks, *reasons]
    if notes:
        print_line()
        print_line(f"{stem(result.file)} on {result.kernel}", bold=True)
    for note in notes:
        print_line(note, 2)
