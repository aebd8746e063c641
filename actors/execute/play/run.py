"""Playing recorded clients from their first call, or up to a kill, to the last grace period."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

from actors.execute.play.blame import left_by
from actors.execute.play.calls import Chunk, Cursor
from actors.execute.play.facts import Registration, facts, registration
from actors.execute.play.reasons import why, why_out
from actors.execute.play.remains import Remains
from actors.execute.play.remarks import remarks_on
from actors.execute.play.result import Difference, OpCount, PlayResult
from actors.execute.play.session import Drawn, Session
from actors.execute.steps import Outcome
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.program import Stream
from actors.runtime.errors import Deadlock, KernelOops, Livelock
from hw import HardwareError

BREAKDOWNS: tuple[tuple[type[Exception], str], ...] = (
    (KernelOops, "oops"),
    (HardwareError, "oops"),
    (Deadlock, "deadlock"),
    (Livelock, "livelock"),
)
"""How the modelled kernel may end a play before its time, and the verdict."""

UNCOMPARED = ("device", "pread", "pwrite")
"""Operations that are answered from the recording."""

MOST_TURN = 16
"""Calls that a client makes at most before another may have its turn."""

Progress = Callable[[int], None]
"""Told now and then how many calls have been made."""


class Ending(NamedTuple):
    """How a play ended.

    Attributes:
        borrowed: what was left while kernel threads still borrowed the client's mm; None when none did.
        final: what is left at the very end.
        verdict: ``ok``, ``oops``, ``deadlock`` or ``livelock``.
        message: what happened, for any but ``ok``.
    """

    borrowed: Remains | None
    final: Remains
    verdict: str = "ok"
    message: str = ""

    @property
    def clean(self) -> bool:
        """Whether the kernel came through and nothing is left that should not be.

        An address space that is still borrowed may live.
        """
        borrowed = self.borrowed is not None and self.borrowed._replace(mms=0).anything
        return self.verdict == "ok" and not borrowed and not self.final.anything


class Tally:
    """The calls of one client, counted and held against the recording."""

    def __init__(self, session: Session, actor: int = 0) -> None:
        self.session = session
        self.actor = actor
        self.slugs = session.machine.world.kernel.slugs
        self.calls = 0
        self.counts: dict[str, OpCount] = {}
        self.differences: list[Difference] = []
        self.out_differences: list[Difference] = []

    def make(self, chunk: Chunk) -> None:
        """Make the calls of a chunk, count and compare."""
        before = registration(self.session.execution, chunk.step, self.actor)
        outcomes = self.session.make(chunk, self.actor)
        name = chunk.step.call or chunk.step.op
        old = self.counts.get(name, OpCount(0, 0))
        errors = sum(outcome.ret is not None and outcome.ret < 0 for outcome in outcomes)
        self.counts[name] = OpCount(old.calls + len(outcomes), old.errors + errors)
        self.calls += len(outcomes)
        if chunk.step.observed is not None and chunk.step.op not in UNCOMPARED:
            self.compare(chunk, outcomes, before)

    def compare(self, chunk: Chunk, outcomes: Sequence[Outcome], before: Registration | None) -> None:
        """Note replies that differ from the recorded one, each with its reason."""
        step, seen = chunk.step, chunk.step.observed
        assert seen is not None
        different = [n for n, outcome in enumerate(outcomes) if differs(seen.ret, outcome.ret)]
        fields = [pair for pair in (seen.out or {}).items() if outcomes[0].out and outcomes[0].out.get(pair[0]) != pair[1]]
        if not different and not fields:
            return
        known = frozenset(facts(self.session.execution, step, self.actor, before))
        name = step.call or step.op
        for n in different:
            recorded, actual = seen.ret or 0, outcomes[n].ret or 0
            reason = why(step.op, recorded, actual, known, self.slugs)
            self.differences.append(Difference(chunk.call + n, name, recorded, actual, reason))
        for field, value in fields:
            actual = (outcomes[0].out or {}).get(field, 0)
            reason = why_out(step.op, field, known)
            self.out_differences.append(Difference(chunk.call, name, value, actual, reason, field))

    @property
    def reasons(self) -> frozenset[str]:
        """The reasons of all differences in return values."""
        return frozenset(difference.why for difference in self.differences)

    def result(self, stream: Stream, ending: Ending, blamed: tuple[str, ...], seconds: float) -> PlayResult:
        """What it came to."""
        world = self.session.machine.world
        return PlayResult(
            file=stream.file,
            kernel=world.kernel.name,
            calls=self.calls,
            seconds=seconds,
            by_op=dict(self.counts),
            differences=tuple(self.differences),
            out_differences=tuple(self.out_differences),
            borrowed=ending.borrowed,
            final=ending.final,
            left_by=blamed,
            remarks=(*remarks_on(stream), *mishaps(self.session)),
            verdict=ending.verdict,
            message=ending.message,
            warnings=tuple(world.warnings),
        )


def differs(recorded: int | None, actual: int | None) -> bool:
    """Whether both are known and not the same."""
    return recorded is not None and actual is not None and recorded != actual


def mishaps(session: Session) -> Iterator[str]:
    """What became of calls that are not compared."""
    execution = session.execution
    if execution.dead:
        yield f"{len(execution.dead)} calls on devices that were not open, the first on {execution.dead[0]}"
    for name, reason in execution.faults[:1]:
        yield f"{len(execution.faults)} DMA accesses faulted, the first of {name}: {reason}"


def composed(kernel: Kernel | str) -> Kernel:
    """The kernel of a name.

    Raises:
        UnknownPiece: there is none.
    """
    return find_kernel(kernel) if isinstance(kernel, str) else kernel


def ended(session: Session, body: Callable[[], Ending]) -> Ending:
    """Run ``body``; when the modelled kernel breaks down in it, that is the ending."""
    try:
        return body()
    except tuple(kind for kind, _ in BREAKDOWNS) as problem:
        verdict = next(name for kind, name in BREAKDOWNS if isinstance(problem, kind))
        return Ending(None, session.remains(), verdict, " ".join(str(problem).split()))


def finish(session: Session, actors: Iterable[int], borrow: Sequence[int], killed: bool) -> Ending:
    """Borrow, exit or kill, let grace periods end, look, switch away, look again."""
    for actor in actors:
        session.borrow(borrow, actor)
        if killed:
            session.kill(actor)
        else:
            session.exit(actor)
    session.settle()
    borrowed = session.remains() if borrow else None
    session.switch_away(borrow)
    session.settle()
    return Ending(borrowed, session.remains())


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

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: ``kill_at`` is behind the end of the stream, or a CPU is below 0.
    """
    check(stream, kill_at, borrow)
    whole = composed(kernel)

    def attempt(kernel: Kernel, watch: Progress | None) -> tuple[Tally, Ending]:
        chooser = None if seed is None else Drawn(seed)
        session = Session.boot([stream], kernel, max([cpus, *(cpu + 1 for cpu in borrow)]), chooser)
        tally = Tally(session)

        def body() -> Ending:
            for chunk in Cursor(stream.program.setup).until(kill_at):
                tally.make(chunk)
                if watch is not None:
                    watch(tally.calls)
            return finish(session, [0], borrow, killed=kill_at is not None)

        return tally, ended(session, body)

    began = perf_counter()
    tally, ending = attempt(whole, on_progress)
    seconds = perf_counter() - began
    blamed: tuple[str, ...] = ()
    if blame and not ending.clean:
        blamed = left_by(whole, ending, lambda kernel: attempt(kernel, None)[1], tally.reasons)
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
        A point and how that client ended.

    Raises:
        UnknownPiece: no kernel of that name.
        ValueError: a point is behind the end of the stream.
    """
    session = Session.boot([stream], composed(kernel), max([cpus, *(cpu + 1 for cpu in borrow)]))
    cursor = Cursor(stream.program.setup)
    for point in sorted(points):
        check(stream, point, borrow)
        for chunk in cursor.until(point):
            session.make(chunk)
        session.settle()
        copy = session.copy(None if seed is None else Drawn(seed + point))
        yield point, ended(copy, lambda copy=copy: finish(copy, [0], borrow, killed=True))  # type: ignore[misc]
