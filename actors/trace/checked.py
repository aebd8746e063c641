"""Whether a file is a log in which everything fits: shape, order, causes, and the counts at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.program import ProgramError
from actors.trace import schema as s


class Checked(NamedTuple):
    """What a log is that holds.

    Attributes:
        header: what was run.
        events: kind -> how many.
        end: how it ended; None for a log that was cut off.
        missing: events that are not there, between others.
        replayable: whether ``tcemu replay`` can run it again.
    """

    header: s.Header
    events: dict[str, int]
    end: s.End | None
    missing: int
    replayable: bool

    @property
    def total(self) -> int:
        """How many events there are."""
        return sum(self.events.values())


def check(lines: Iterator[s.Line], name: str) -> Checked:
    """Read a log to its end, in no more memory than its requests take.

    Raises:
        ProgramError: it is no log, is damaged, or something in it does not fit.
    """
    header = next(lines)
    assert isinstance(header, s.Header)
    causes: dict[int, bool] = {}
    events: dict[str, int] = {}
    end, missing, number, after = None, 0, 1, -1
    for line in lines:
        number += 1
        if isinstance(line, s.End):
            end = line
            continue
        assert not isinstance(line, s.Header)
        missing += line.step - after - 1
        after = line.step
        judge(line, causes, missing, f"line {number}", name)
        kind = s.event_name(type(line))
        events[kind] = events.get(kind, 0) + 1
    if end is not None and not missing and end.step != after + 1:
        wrong = f"found {end.step}, expected {after + 1}, the number of events"
        raise ProgramError(name, f"line {number} step", wrong)
    replayable = not missing and (header.order is not None or header.clients is not None)
    return Checked(header, dict(sorted(events.items())), end, missing, replayable)


def judge(event: s.Event, causes: dict[int, bool], missing: int, place: str, name: str) -> None:
    """Hold an event against those before it.

    Args:
        event: the event.
        causes: step of each request and thread start so far -> whether it is a request.
        missing: events that are not there; what is not there may be the cause.
        place: where it is, for errors.
        name: of the log.

    Raises:
        ProgramError: it does not fit.
    """
    cause = event.cause
    own = cause == event.step and isinstance(event, s.Start)
    if cause is not None and not own and (cause >= event.step or (cause not in causes and not missing)):
        wrong = f"found {cause}, expected the step of a request or thread start before it"
        raise ProgramError(name, f"{place} cause", wrong)
    if isinstance(event, s.Reply) and event.of is not None and not causes.get(event.of, bool(missing)):
        raise ProgramError(name, f"{place} of", f"found {event.of}, expected the step of a request before it")
    if isinstance(event, (s.Request, s.Start)):
        causes[event.step] = isinstance(event, s.Request)


def as_text(checked: Checked) -> str:
    """What a log is, in a few words."""
    head, end = checked.header, checked.end
    what = f"{head.name or 'a run'} on {head.kernel}, {checked.total:,} events"
    if checked.missing:
        state = f"a part of a log: {checked.missing:,} events are left out"
    elif end is None:
        state = "cut off, its end is missing"
    else:
        state = f"whole, ended with {end.invariant or end.verdict}{': ' if end.message else ''}{end.message}"
    return f"{what}; {state}; {'tcemu replay runs it again' if checked.replayable else 'no replay'}"
