"""Playing several recorded clients on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from actors.execute.play.blame import left_by
from actors.execute.play.calls import Cursor
from actors.execute.play.ending import Ending, ended, finish
from actors.execute.play.result import PlayResult
from actors.execute.play.run import composed
from actors.execute.play.session import Drawn, Session
from actors.execute.play.tally import Tally
from actors.kernel.composition import Kernel
from actors.program import Stream

MOST_TURN = 16
"""Calls that a client makes at most before another may have its turn."""


def play_together(
    streams: Sequence[Stream],
    kernel: Kernel | str = "fixed",
    seed: int = 0,
    *,
    cpus: int = 2,
    blame: bool = True,
) -> tuple[PlayResult, ...]:
    """Play several streams on one machine, their calls interleaved as ``seed`` draws.

    Each client is a process of its own with groups of its own. What is left is that of the whole machine.

    Returns:
        One result a stream, in their order.

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: the streams do not fit on one machine.
    """
    whole = composed(kernel)

    def attempt(kernel: Kernel) -> tuple[list[Tally], Ending]:
        draw = Drawn(seed)
        session = Session.boot(streams, kernel, cpus, draw)
        tallies = [Tally(session, actor) for actor in range(len(streams))]

        def body() -> Ending:
            take_turns(streams, tallies, draw)
            return finish(session, range(len(streams)), (), killed=False)

        return tallies, ended(session, body)

    began = perf_counter()
    tallies, ending = attempt(whole)
    seconds = perf_counter() - began
    blamed: tuple[str, ...] = ()
    if blame and not ending.clean:
        hints = frozenset[str]().union(*(tally.reasons for tally in tallies))
        blamed = left_by(whole, ending, lambda kernel: attempt(kernel)[1], hints)
    return tuple(
        tally.result(stream, ending, blamed, seconds) for tally, stream in zip(tallies, streams, strict=True)
    )


def take_turns(streams: Sequence[Stream], tallies: Sequence[Tally], draw: Drawn) -> None:
    """Let clients make a few calls each, whose turn it is being drawn, until all have made theirs."""
    playing = [(Cursor(stream.program.setup), tally) for stream, tally in zip(streams, tallies, strict=True)]
    while playing:
        turn = draw.choose("client", len(playing))
        cursor, tally = playing[turn]
        chunk = cursor.take(1 + draw.choose("calls", MOST_TURN))
        if chunk is None:
            del playing[turn]
        else:
            tally.make(chunk)
