"""Playing several recorded clients on one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

from actors.execute.play.blame import left_by
from actors.execute.play.calls import Cursor
from actors.execute.play.ending import Ending, ended, finish
from actors.execute.play.result import PlayResult
from actors.execute.play.run import Progress, composed
from actors.execute.play.session import Drawn, Session
from actors.execute.play.tally import Tally
from actors.kernel.composition import Kernel
from actors.machine import MachineObserver
from actors.program import Stream

MOST_TURN = 16
"""Calls that a client makes at most before another may have its turn."""

TOLD_TURNS = 64
"""Turns after which progress is told."""

SHARES = ("", "groups", "mm")
"""What clients may have in common.

Nothing: each has groups and memory of its own. ``groups``: the first group of each is the same one of the
machine, and so on. ``mm``: they are processes of one address space.
"""


def play_together(
    streams: Sequence[Stream],
    kernel: Kernel | str = "fixed",
    seed: int = 0,
    *,
    cpus: int = 2,
    share: str = "",
    blame: bool = True,
    on_progress: Progress | None = None,
    on_again: Progress | None = None,
    log: MachineObserver | None = None,
) -> tuple[PlayResult, ...]:
    """Play several streams on one machine, their calls interleaved as ``seed`` draws.

    Each client is a process of its own. What is left is that of the whole machine.

    Args:
        streams: the recorded clients.
        kernel: its name, or a composed one.
        seed: draws whose turn it is, and for how many calls.
        cpus: CPUs of the machine.
        share: what the clients have in common, one of :data:`SHARES`.
        blame: whether to look for the defects behind what is left, by playing again without them.
        on_progress: told how many calls all have made.
        on_again: told the same in each play that looks for the defects.
        log: told of all that happens; whoever gives it closes it.

    Returns:
        One result a stream, in their order.

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: the streams do not fit on one machine, or in one address space.
    """
    whole = checked(kernel, share)

    def attempt(
        kernel: Kernel, watch: Progress | None, log: MachineObserver | None = None
    ) -> tuple[list[Tally], Ending]:
        draw = Drawn(seed)
        session = Session.boot(streams, kernel, cpus, draw, log, share)
        tallies = [Tally(session, actor) for actor in range(len(streams))]

        def body() -> Ending:
            for calls in take_turns(streams, tallies, draw):
                if watch is not None:
                    watch(calls)
            return finish(session, range(len(streams)), (), killed=False)

        return tallies, ended(session, body)

    began = perf_counter()
    tallies, ending = attempt(whole, on_progress, log)
    seconds = perf_counter() - began
    hints = frozenset[str]().union(*(tally.reasons for tally in tallies))
    look = blame and not ending.clean
    blamed = left_by(whole, ending, lambda kernel: attempt(kernel, on_again)[1], hints) if look else ()
    return tuple(
        tally.result(stream, ending, blamed, seconds) for tally, stream in zip(tallies, streams, strict=True)
    )


def checked(kernel: Kernel | str, share: str) -> Kernel:
    """The kernel of a name.

    Raises:
        UnknownPiece: there is none.
        ValueError: clients cannot share that.
    """
    if share not in SHARES:
        raise ValueError(f"share: found {share!r}, expected groups, mm or nothing")
    return composed(kernel)


def take_turns(streams: Sequence[Stream], tallies: Sequence[Tally], draw: Drawn) -> Iterator[int]:
    """Let clients make a few calls each, whose turn it is being drawn, until all have made theirs.

    Yields:
        How many calls have been made, now and then.
    """
    turns = calls = 0
    playing = [(Cursor(stream.program.setup), tally) for stream, tally in zip(streams, tallies, strict=True)]
    while playing:
        turn = draw.choose("client", len(playing))
        cursor, tally = playing[turn]
        chunk = cursor.take(1 + draw.choose("calls", MOST_TURN))
        if chunk is None:
            del playing[turn]
        else:
            tally.make(chunk)
            turns, calls = turns + 1, calls + chunk.calls
            if turns % TOLD_TURNS == 0:
                yield calls
