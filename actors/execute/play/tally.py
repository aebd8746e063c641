"""Counting the calls of a client and holding the replies against the recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.execute.play.calls import Chunk
from actors.execute.play.ending import Ending
from actors.execute.play.facts import Registration, facts, registration
from actors.execute.play.reasons import why, why_out
from actors.execute.play.remarks import remarks_on
from actors.execute.play.result import Difference, OpCount, PlayResult
from actors.execute.play.session import Session
from actors.execute.steps import Outcome
from actors.program import Stream

UNCOMPARED = ("device", "pread", "pwrite")
"""Operations that are answered from the recording."""


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
        out = outcomes[0].out or {}
        fields = [(key, value) for key, value in (seen.out or {}).items() if out.get(key, value) != value]
        if not different and not fields:
            return
        known = frozenset(facts(self.session.execution, step, self.actor, before))
        name = step.call or step.op
        for n in different:
            recorded, actual = seen.ret or 0, outcomes[n].ret or 0
            reason = why(step.op, recorded, actual, known, self.slugs)
            self.differences.append(Difference(chunk.call + n, name, recorded, actual, reason))
        for field, value in fields:
            reason = why_out(step.op, field, known)
            self.out_differences.append(Difference(chunk.call, name, value, out[field], reason, field))

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
            remarks=(*remarks_on(stream), *mishaps(self.session, self.actor)),
            verdict=ending.verdict,
            message=ending.message,
            warnings=tuple(world.warnings),
        )


def differs(recorded: int | None, actual: int | None) -> bool:
    """Whether both are known and not the same."""
    return recorded is not None and actual is not None and recorded != actual


def mishaps(session: Session, actor: int) -> Iterator[str]:
    """What became of a client's calls that are not compared."""
    dead = [name for who, name in session.execution.dead if who == actor]
    faults = [(name, reason) for who, name, reason in session.execution.faults if who == actor]
    if dead:
        calls = "1 call on a device that was" if len(dead) == 1 else f"{len(dead)} calls on devices that were"
        yield f"{calls} not open, the first on {dead[0]}"
    for name, reason in faults[:1]:
        accesses = "1 DMA access" if len(faults) == 1 else f"{len(faults)} DMA accesses"
        yield f"{accesses} faulted, the first of {name}: {reason}"
