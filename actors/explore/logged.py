"""The whole log of one order, and the way back: a log that is run again, exactly.

An order is run with a tracer that misses nothing. What the log's header says is enough to run it
again: the program, the function or the recorded client, the kernel, and every decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from actors.check import Oracles
from actors.explore.explore import Campaign, prepare
from actors.explore.failure import Failure, parse_failure
from actors.explore.recorder import Recorder as Decisions
from actors.explore.result import Choice, Result
from actors.explore.run import CALM, Model, Prepared
from actors.explore.strategies import Replay, ReplayDivergence
from actors.explore.strategies.random import RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.kernel.composition import Kernel
from actors.machine import Scenario
from actors.program import Program, ProgramError, parse_exact
from actors.runtime.core import Core
from actors.runtime.thread import Thread
from actors.trace.diff import diff
from actors.trace.header import header
from actors.trace.jsonl import Log
from actors.trace.recorder import Recorder
from actors.trace.schema import KERNEL_MESSAGES, End, Event, Header
from actors.trace.text import end_text, what_happened

BESIDE = ("program", "choices")
"""Fields of a failure that stand in a header beside its ``order``."""


class LogDivergence(ReplayDivergence):
    """A run that was made again is not the one that its log tells of.

    Args:
        step: number of the first event that differs.
        expected: what the log says there.
        actual: what happened.
    """

    def __init__(self, step: int, expected: str, actual: str) -> None:
        Exception.__init__(
            self, f"the run differs from its log at step {step}: the log says {expected}; here {actual}"
        )
        self.choice = self.step = step
        self.expected = expected
        self.actual = actual


def logged(failure: Failure, oracles: OracleMaker = Oracles, model: Model | None = None) -> Log:
    """Run a failure again and return everything that happened in it.

    The run begins where the threads do; what the setup came to is the ``state`` at the start.

    Args:
        failure: what to run.
        oracles: who looks.
        model: what failed, when it is prepared already.

    Raises:
        UnknownPiece, Conflict: its kernel does not exist here.
        ReplayDivergence: the recording no longer fits.
    """
    campaign = failure.campaign(model or failure.prepared(oracles))
    result, events = watched(campaign, failure.recording)
    end = end_of(result, len(events), failure.digest)
    return Log(header_of(failure), events, structs.replace(end, known_as=failure.known_as))


def log_of(
    subject: Program | Scenario | Model, result: Result, kernel: Kernel | str = "fixed", **options: Any
) -> Log:
    """Run the order that ``result`` holds again and return everything that happened in it.

    Args:
        subject: what was explored.
        result: of an order whose choices were recorded, such as the ``failure`` of a report.
        kernel: what it ran on.
        options: for a scenario, those that `explore` was given.

    Raises:
        ReplayDivergence: the choices do not fit.
    """
    campaign = Campaign(prepare(subject, kernel, **options), RandomWalk())
    return log_in(campaign, result.choices)


def log_in(campaign: Campaign, choices: Sequence[Choice], **how: Any) -> Log:
    """Run one order of a campaign again and return everything that happened in it.

    Args:
        campaign: in which the order was run.
        choices: its decisions.
        how: further fields of the header.

    Raises:
        ReplayDivergence: the choices do not fit.
    """
    model: Any = campaign.model
    decisions = Decisions(Replay(choices))
    again, events = followed(campaign, decisions)
    program = model.program if type(model) is Prepared else None
    head = header(model.kernel, name=model.name, program=program, choices=choices, **how)
    return Log(head, events, end_of(again, len(events), decisions.digest))


def header_of(failure: Failure) -> Header:
    """What the log of a failure says was run: program and choices beside the rest of the failure."""
    fields = msgspec.json.decode(msgspec.json.encode(failure))
    order = {name: value for name, value in fields.items() if name not in BESIDE and value not in (None, [])}
    program = parse_exact(failure.program) if failure.program is not None else None
    spec = failure.client.program().machine if failure.client is not None else None
    return header(
        failure.kernel.compose(),
        name=failure.name,
        program=program,
        machine=spec,
        choices=failure.choices,
        order=order,
    )


def watched(campaign: Campaign, choices: Sequence[Choice]) -> tuple[Result, list[Event]]:
    """Run one order of a campaign again, by its choices; what it came to, and everything that happened.

    Raises:
        ReplayDivergence: the choices do not fit.
    """
    return followed(campaign, Decisions(Replay(choices)))


def followed(campaign: Campaign, decisions: Decisions) -> tuple[Result, list[Event]]:
    """Run one order with everything recorded; what nobody in the kernel said of its end is said last."""
    recorder = Recorder()
    core = campaign.core(decisions, every=True)
    recorder.attach(core)
    result = campaign.model.run(core)
    if result.verdict in ("violation", "race", "expectation") and not told(result, recorder.events()):
        found = {"invariant": result.invariant, "message": result.message, "accesses": result.accesses}
        recorder.event(core.current, "violation", found)
    recorder.detach()
    return result, recorder.events()


def told(result: Result, events: list[Event]) -> bool:
    """Whether the kernel itself has said what a run came to."""
    return any(isinstance(event, KERNEL_MESSAGES) and event.message in result.message for event in events)


def end_of(result: Result, events: int, digest: str = "") -> End:
    """The last line of a log of a run that came to ``result``."""
    return End(
        step=events,
        verdict=result.verdict,
        invariant=result.invariant,
        message=result.message,
        steps=result.steps,
        digest=digest,
    )


# -- back again --------------------------------------------------------------------------------


class AsFarAs(Replay):
    """Takes the recorded decisions, and the calm ones after the last of them."""

    def choose(self, label: str, options: int) -> int:
        """Take the recorded option."""
        return super().choose(label, options) if self.at < len(self.choices) else 0

    def pick(self, core: Core) -> Thread:
        """Take the recorded thread."""
        return super().pick(core) if self.at < len(self.choices) else CALM.pick(core)


def replay_log(log: Log, oracles: OracleMaker = Oracles, name: str = "log") -> tuple[Result, Log]:
    """Run what a log tells of again, exactly, and hold every event against it.

    A log that was cut off is followed as far as it goes.

    Args:
        log: of a run whose order was chosen.
        oracles: who looks.
        name: of the log, for errors.

    Returns:
        What it came to, and its log.

    Raises:
        ProgramError, NoScenario: the log does not say enough, or what it names is not to be found here.
        UnknownPiece, Conflict: its kernel does not exist here.
        ReplayDivergence: something else happened.
    """
    whole(log, name)
    failure = failure_of(log, name)
    decisions = Decisions((Replay if log.end is not None else AsFarAs)(failure.recording))
    result, events = followed(failure.campaign(failure.prepared(oracles)), decisions)
    end = end_of(result, len(events), decisions.digest)
    known_as = log.end.known_as if log.end is not None else None
    again = Log(header_of(failure), events, structs.replace(end, known_as=known_as))
    same(log, again)
    return result, again


def failure_of(log: Log, name: str) -> Failure:
    """The order that a log tells of, as a failure file would hold it.

    Raises:
        ProgramError: the log does not say.
    """
    head = log.header
    if head.order is None:
        wrong = "found no order, expected that of a run whose order was chosen; this one ran freely"
        raise ProgramError(name, "line 1 order", wrong)
    beside = {"program": head.program, "choices": log.choices()}
    return parse_failure(msgspec.json.encode(head.order | beside), f"{name}: line 1 order")


def whole(log: Log, name: str) -> None:
    """Refuse a part of a log.

    Raises:
        ProgramError: events are missing between others.
    """
    for number, event in enumerate(log.events):
        if event.step != number:
            wrong = f"found {event.step}, expected {number}; only a whole log can be run again"
            raise ProgramError(name, f"line {number + 2} step", wrong)


def same(log: Log, again: Log) -> None:
    """Hold a run against its log.

    Raises:
        LogDivergence: they are not the same.
    """
    if log.end is None:
        again = again._replace(events=again.events[: len(log.events)], end=None)
    parting = diff(log, again, 1)
    if parting.same:
        return
    first = [side[0] if side else None for side in (parting.a, parting.b)]
    texts = both_texts(*first)
    if not any(first):
        texts = [end_text(end) if end is not None else "nothing" for end in parting.end]
        texts = [f"{t}, digest {e.digest[:12]}" if e else t for t, e in zip(texts, parting.end, strict=True)]
    if log.header.emulator != again.header.emulator:
        texts[0] += f" (written by tcemu {log.header.emulator})"
    raise LogDivergence(parting.common, texts[0], texts[1])


def both_texts(recorded: Event | None, actual: Event | None) -> list[str]:
    """Two events in a few words each, such that they differ."""
    texts = [event_text(event) if event is not None else "the end" for event in (recorded, actual)]
    if recorded is not None and actual is not None and texts[0] == texts[1]:
        for name in recorded.__struct_fields__:
            values = [getattr(event, name, None) for event in (recorded, actual)]
            if values[0] != values[1]:
                return [f"{text}, {name} {value}" for text, value in zip(texts, values, strict=True)]
    return texts


def event_text(event: Event) -> str:
    """An event in a few words, with who and where."""
    return f"{event.thread} in {event.actor or 'no actor'}: {what_happened(event)}"


__all__ = ["LogDivergence", "both_texts", "end_of", "log_in", "log_of", "logged", "replay_log", "watched"]
