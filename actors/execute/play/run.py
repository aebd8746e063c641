"""Playing a recorded client from its first call, or up to a kill, to the last grace period."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter

from actors.execute.play.blame import left_by
from actors.execute.play.calls import Chunk, Cursor
from actors.execute.play.ending import BREAKS, Ending, broken, ended, finish
from actors.execute.play.result import PlayResult
from actors.execute.play.session import Drawn, Session
from actors.execute.play.tally import Tally
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.machine import MachineObserver
from actors.program import Stream

Progress = Callable[[int], None]
"""Told now and then how many calls have been made."""


def composed(kernel: Kernel | str) -> Kernel:
    """The kernel of a name.

    Raises:
        UnknownPiece: there is none.
    """
    return find_kernel(kernel) if isinstance(kernel, str) else kernel


def play(
    stream: Stream,
    kernel: Kernel | str = "fixed",
    *,
    cpus: int = 2,
    kill_at: int | None = None,
    borrow: Sequence[int] = (),
    seed: int | None = None,
    blame: bool = True,
    on_progress: Progress | None = None,
    on_again: Progress | None = None,
    log: MachineObserver | None = None,
) -> PlayResult:
    """Play a stream on a machine of its own, to its end or until its client is killed.

    Args:
        stream: the recorded client.
        kernel: its name, or a composed one.
        cpus: CPUs of the machine; at least as many as ``borrow`` names.
        kill_at: calls to make before SIGKILL; None to play all and exit.
        borrow: CPUs on which kernel threads borrow the client's mm when it ends.
        seed: draws the order in which the killed client's files are closed; None for the calm one.
        blame: whether to look for the defects behind what is left, by playing again without them.
        on_progress: told how many calls have been made.
        on_again: told the same in each play that looks for the defects.
        log: told of all that happens; whoever gives it closes it.

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: ``kill_at`` is behind the end of the stream, or a CPU is below 0.
    """
    check(stream, kill_at, borrow)
    whole = composed(kernel)

    def booted(kernel: Kernel, log: MachineObserver | None = None) -> Session:
        chooser = None if seed is None else Drawn(seed)
        return Session.boot([stream], kernel, max([cpus, *(cpu + 1 for cpu in borrow)]), chooser, log)

    def attempt(session: Session, make: Callable[[Chunk], object], watch: Progress | None) -> Ending:
        def body() -> Ending:
            cursor = Cursor(stream.program.setup)
            for chunk in cursor.until(kill_at):
                make(chunk)
                if watch is not None:
                    watch(cursor.call)
            return finish(session, [0], borrow, killed=kill_at is not None)

        return ended(session, body)

    def again(kernel: Kernel) -> Ending:
        session = booted(kernel)
        return attempt(session, session.make, on_again)

    began = perf_counter()
    tally = Tally(booted(whole, log))
    ending = attempt(tally.session, tally.make, on_progress)
    seconds = perf_counter() - began
    blamed = left_by(whole, ending, again, tally.reasons) if blame and not ending.clean else ()
    return tally.result(stream, ending, blamed, seconds)


def check(stream: Stream, kill_at: int | None, borrow: Iterable[int]) -> None:
    """Refuse what makes no sense.

    Raises:
        ValueError: naming the argument and what was expected.
    """
    if kill_at is not None and not 0 <= kill_at <= stream.calls:
        name = stream.program.name
        raise ValueError(f"kill_at: found {kill_at}, expected 0 to {stream.calls}, the calls of {name}")
    if any(cpu < 0 for cpu in borrow):
        raise ValueError(f"borrow: found {min(borrow)}, expected numbers of CPUs from 0 on")


def play_killed(
    stream: Stream,
    kernel: Kernel | str = "fixed",
    *,
    points: Iterable[int],
    borrow: Sequence[int] = (1,),
    cpus: int = 2,
    seed: int | None = None,
) -> Iterator[tuple[int, Ending]]:
    """Play a stream once and kill a copy of its client at each of the ``points``.

    Args:
        stream: the recorded client.
        kernel: its name, or a composed one.
        points: numbers of calls made before the kill, ascending.
        borrow: CPUs on which kernel threads borrow the client's mm when it ends.
        cpus: CPUs of the machine.
        seed: draws the order in which files are closed, anew at each point; None for the calm one.

    Yields:
        A point and how that client ended; the last one is where the kernel broke down, if it did.

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: a point is behind the end of the stream.
    """
    session = Session.boot([stream], composed(kernel), max([cpus, *(cpu + 1 for cpu in borrow)]))
    cursor = Cursor(stream.program.setup)
    for point in sorted(points):
        check(stream, point, borrow)
        try:
            for chunk in cursor.until(point):
                session.make(chunk)
            session.settle()
        except BREAKS as problem:
            yield point, broken(session, problem)
            return
        copy = session.copy(None if seed is None else Drawn(seed + point))
        yield point, ended(copy, lambda copy=copy: finish(copy, [0], borrow, killed=True))  # type: ignore[misc]
