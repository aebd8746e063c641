"""Rows of ``tcemu stress`` for recorded clients: killed at drawn points, torn down in drawn orders."""

from __future__ import annotations

from random import Random
from time import monotonic
from typing import NamedTuple

from actors.cli.tables import plural
from actors.execute.play import Ending, Remains, play_killed
from actors.explore import Report
from actors.kernel.composition import Kernel
from actors.program import builtin_streams, load_stream

KERNELS = ("v4.9", "v4.10", "v6.12", "fixed")
"""What clients are killed on without ``--kernel``: before the patch, after it, today's, the mended one."""

LAST_CALL = 20_000
"""Clients are killed within their first calls; ``tcemu play --kill-at`` reaches every point."""

KILLS = 12
"""Kills of a client when no number of orders is asked for."""

BORROWING_CPUS = (1,)
NEXT_LINE = "; tcemu play "
"""Stands in a message before the command that shows the same again."""


class Client(NamedTuple):
    """A recorded client by its name."""

    name: str


def clients() -> list[Client]:
    """All built-in recorded clients."""
    return [Client(name) for name in builtin_streams()]


def kill_often(
    client: Client, kernel: Kernel, schedules: int | None, seconds: float | None, seed: int
) -> Report:
    """Kill copies of a client while a kernel thread borrows its mm; files close in drawn orders."""
    start = monotonic()
    stream = load_stream(builtin_streams()[client.name])
    draw = Random(seed)
    last = min(stream.calls, LAST_CALL)
    points = sorted(draw.randint(0, last) for _ in range(schedules or KILLS))
    done, bad = 0, None
    for point, ending in play_killed(stream, kernel, points=points, borrow=BORROWING_CPUS, seed=seed):
        done += 1
        if not ending.clean:
            bad = (point, ending)
            break
        if seconds is not None and monotonic() - start > seconds:
            break
    verdict, message = ("ok", "") if bad is None else told(*bad)
    if bad is not None:
        message += f"{NEXT_LINE}{client.name} --kernel {kernel.name} --kill-at {bad[0]} --borrow 1"
    return Report(
        program=client.name,
        kernel=kernel.name,
        strategy="random",
        schedules=done,
        complete=False,
        points=stream.calls,
        seconds=round(monotonic() - start, 3),
        verdict=verdict,
        invariant="J-Q1" if verdict == "violation" else "",
        message=message,
        schedules_to_first_failure=None if bad is None else done,
    )


def told(point: int, ending: Ending) -> tuple[str, str]:
    """Verdict and message for a kill that did not end clean."""
    when = f"killed after {point:,} of its calls"
    if ending.verdict != "ok":
        return ending.verdict, f"{when}: {ending.message}"
    if ending.final.anything:
        return "violation", f"{when}, it leaves {in_words(ending.final)} for ever"
    assert ending.borrowed is not None
    return "violation", f"{when}, it leaves {in_words(ending.borrowed)} while a kernel thread borrows its mm"


def in_words(remains: Remains) -> str:
    """What is left, the zeros left out."""
    counts = remains._asdict().items()
    return ", ".join(
        plural(count, name.replace("_", " ").removesuffix("s")) for name, count in counts if count
    )
