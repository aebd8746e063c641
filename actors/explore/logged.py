"""The whole log of one order: a recorded failure, run again with a tracer that misses nothing."""

from __future__ import annotations

from actors.check import Oracles
from actors.explore.explore import Campaign, prepare
from actors.explore.failure import Failure
from actors.explore.faults import FailNth
from actors.explore.recorder import Recorder as Decisions
from actors.explore.result import Choice, Result
from actors.explore.strategies import Replay
from actors.explore.strategies.random import RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.program import parse_exact, write_program
from actors.trace.jsonl import Log, changes
from actors.trace.recorder import Recorder
from actors.trace.schema import FORMAT, KERNEL_MESSAGES, VERSION, End, Event, Header


def logged(failure: Failure, oracles: OracleMaker = Oracles) -> Log:
    """Run a failure again and return everything that happened in it.

    The run begins where the threads do; what the setup came to is the ``state`` at the start.

    Raises:
        UnknownPiece, Conflict: its kernel does not exist here.
        ReplayDivergence: the recording no longer fits.
    """
    program, kernel = parse_exact(failure.program), failure.kernel.compose()
    faults = FailNth(failure.fail_nth) if failure.fail_nth is not None else None
    campaign = Campaign(prepare(program, kernel, oracles), RandomWalk(), faults, failure.budget)
    recorder = Recorder()
    core = campaign.core(Decisions(Replay(tuple(Choice(*choice) for choice in failure.choices))), every=True)
    recorder.attach(core)
    result = campaign.model.run(core)
    if result.verdict in ("violation", "race", "expectation") and not told(result, recorder.events()):
        found = {"invariant": result.invariant, "message": result.message, "accesses": result.accesses}
        recorder.event(core.current, "violation", found)
    recorder.detach()
    header = Header(
        format=FORMAT,
        version=VERSION,
        name=program.name,
        program=write_program(program),
        kernel=kernel.name,
        switches=tuple(piece.slug for piece in kernel.pieces),
        machine=changes(program.machine),
        choices=failure.choices,
    )
    return Log(header, recorder.events(), end_of(result, len(recorder)))


def told(result: Result, events: list[Event]) -> bool:
    """Whether the kernel itself has said what a run came to."""
    return any(isinstance(event, KERNEL_MESSAGES) and event.message in result.message for event in events)


def end_of(result: Result, events: int) -> End:
    """The last line of a log of a run that came to ``result``."""
    return End(
        step=events,
        verdict=result.verdict,
        invariant=result.invariant,
        message=result.message,
        steps=result.steps,
    )


__all__ = ["end_of", "logged"]
