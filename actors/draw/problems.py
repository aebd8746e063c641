"""What went wrong in a run, and where: complaints of the kernel and the oracles, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from actors.trace import schema as s
from actors.trace.interleaving import OBJECT, blamed, meetings_of, racing_of
from actors.trace.jsonl import Log
from actors.trace.query import about, object_of, part_of
from actors.trace.reason import reason_of
from actors.trace.text import changes

MOST_EXPLAINED: Final = 40
"""Complaints whose racing accesses are looked for; a run that goes on complaining says nothing new."""


class Problem(NamedTuple):
    """Something that went wrong.

    Attributes:
        row: index of the event.
        grave: an invariant is broken or the kernel has crashed; False for a warning.
        title: in a word: ``J-Q1``, ``deadlock``.
        message: one sentence with its numbers.
        accesses: what explains it, as an oracle tells it, or as who holds what does.
        racing: the rows at which two threads met at what it is about; or none.
    """

    row: int
    grave: bool
    title: str
    message: str
    accesses: tuple[str, ...]
    racing: tuple[int, ...]


def problems(log: Log) -> list[Problem]:
    """Everything that went wrong, in order; the verdict of the run last if no event tells it."""
    events = log.events
    rows = {event.step: row for row, event in enumerate(events)}
    found = [problem_of(rows[e.step], e) for e in events if isinstance(e, s.KERNEL_MESSAGES)]
    end = log.end
    told = any(problem.grave and problem.message in end.message for problem in found) if end else True
    if end is not None and end.verdict != "ok" and not told and events:
        title = end.invariant if end.verdict == "violation" else f"{end.invariant} {end.verdict}".strip()
        found.append(Problem(len(events) - 1, True, title, end.message, (), ()))
    if not found:
        return found
    meetings = meetings_of(events)
    explained = [explain(problem, log, meetings, rows) for problem in found[:MOST_EXPLAINED]]
    return explained + found[MOST_EXPLAINED:]


def problem_of(row: int, event: s.Event) -> Problem:
    """A complaint."""
    if isinstance(event, s.Violation):
        return Problem(row, True, event.invariant or "violation", event.message, event.accesses, ())
    if isinstance(event, s.Misuse):
        return Problem(row, True, event.invariant, event.message, (), ())
    if isinstance(event, s.Oops):
        return Problem(row, True, event.invariant or "Oops", event.message, (), ())
    assert isinstance(event, s.Warn)
    return Problem(row, False, "WARN", event.message, (), ())


def explain(problem: Problem, log: Log, meetings: set[int], rows: dict[int, int]) -> Problem:
    """Find what explains it: who holds what, or else the two accesses that made it."""
    until = log.events[: problem.row + 1]
    reason = reason_of(log._replace(events=until), problem.title, problem.message, problem.accesses)
    problem = problem._replace(accesses=reason.facts)
    if reason.racing is not None:
        return problem._replace(racing=tuple(rows[step] for step in reason.racing))
    return problem._replace(racing=raced(problem, until, meetings, rows))


def raced(
    problem: Problem, until: Sequence[s.Event], meetings: set[int], rows: dict[int, int]
) -> tuple[int, ...]:
    """The two accesses to what it names that made it, or else to what the event is about."""
    event = until[problem.row]
    named = tuple(OBJECT.findall(problem.message)) or blamed([event], "")
    if not named and (subject := object_of(event)):
        named = (subject,)
    found = taken_away(until, event, named) if isinstance(event, s.Oops) else ()
    if not found and named:
        found = tuple(rows[step] for step in racing_of(until, meetings, named))
    return found


def taken_away(until: Sequence[s.Event], crash: s.Oops, named: Sequence[str]) -> tuple[int, ...]:
    """The last change by another thread of what a crash names, or that mentions it; and the crash itself."""
    others = [row for row, e in enumerate(until) if e.thread != crash.thread and changes(e)]
    own = [row for row in others if any(part_of(object_of(until[row]), name) for name in named)]
    found = own or [row for row in others if any(about(until[row], name) for name in named)]
    return (found[-1], len(until) - 1) if found else ()


__all__ = ["Problem", "problems"]
