"""A run as the page gets it: columns of small numbers, and one table of texts for all of them.

Everything is worked out here; the page only draws. Texts are made harmless for people (no control
characters, nothing that changes the direction of writing, no more than a line); that they cannot
become markup or script is up to whoever puts them into the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs

from actors.draw import Undrawable
from actors.draw.fold import Fold, Patch
from actors.draw.lanes import Lanes, Slice, lanes
from actors.draw.problems import Problem, problems
from actors.draw.values import Key, Value
from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import object_of
from actors.trace.text import clipped, style_of, what_happened
from actors.trace.tree import matters

MOST_STEPS: Final = 100_000
"""A page with more is no longer pleasant."""

LONGEST_TEXT: Final = 600
LONGEST_NAME: Final = 120
LARGEST_STEP: Final = (1 << 53) - 1
"""The page counts in JavaScript's numbers."""

SECTIONS: Final = {
    "machine": "Machine", "mm": "Address spaces", "region": "Regions", "tce_container": "Containers",
    "container": "Containers", "table": "TCE windows", "group": "Groups", "cpu": "CPUs", "file": "Files",
}  # fmt: skip
"""Kind of an object -> the heading under which the page shows it."""

QUIET, USUAL, MATTERS = 0, 1, 2
"""How much an event matters: the calm choices, everything else, what changes something."""


class Texts:
    """Each text once; a text goes by its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str, longest: int = LONGEST_NAME) -> int:
        """The number of a text, made harmless and no longer than ``longest``."""
        return self.numbers.setdefault(clipped(text, longest), len(self.numbers))


def run_data(log: Log, name: str = "") -> dict[str, Any]:
    """Everything that the page needs of a run, as JSON values.

    Args:
        log: of the run.
        name: of its file, for errors.

    Raises:
        Undrawable: there is nothing to draw, or too much.
    """
    check(log, name)
    texts, drawing = Texts(), lanes(log.events)
    rows = [columns(event, texts) for event in log.events]
    data = head(log)
    data |= {key: [row[i] for row in rows] for i, key in enumerate(COLUMNS)}
    data["cause"] = causes(log.events)
    data |= drawn(drawing, log.events, texts)
    data |= state(log.events, texts)
    data["problems"] = [problem_data(problem) for problem in problems(log)]
    data["texts"] = list(texts.numbers)
    return data


def beginning(log: Log) -> Log:
    """As much of a long run as a page shows, under a name that says so."""
    steps = len(log.events)
    if steps <= MOST_STEPS:
        return log
    name = f"{clipped(log.header.name or 'a run', 60)} (the first {MOST_STEPS:,} of {steps:,} steps)"
    return log._replace(header=structs.replace(log.header, name=name), events=log.events[:MOST_STEPS])


def check(log: Log, name: str) -> None:
    """Refuse what cannot be drawn."""
    what = name or "the log"
    if not log.events:
        raise Undrawable(f"{what}: found no events, expected some to draw")
    if len(log.events) > MOST_STEPS:
        cut = "cut it first: tcemu log grep --steps FROM:TO --json"
        raise Undrawable(f"{what}: found {len(log.events):,} steps, expected at most {MOST_STEPS:,}; {cut}")
    if log.events[-1].step > LARGEST_STEP or log.events[0].step < 0:
        raise Undrawable(f"{what}: found a step outside 0 to {LARGEST_STEP:,}")


def head(log: Log) -> dict[str, Any]:
    """What was run and what it came to."""
    header, end = log.header, log.end
    told = (end.verdict, end.invariant, end.message) if end is not None else ("cut off", "", "")
    verdict, invariant, message = (clipped(text, LONGEST_TEXT) for text in told)
    return {
        "name": clipped(header.name or "a run", LONGEST_NAME),
        "kernel": clipped(header.kernel, LONGEST_NAME),
        "end": {"verdict": verdict, "invariant": invariant, "message": message},
    }


COLUMNS: Final = (
    "step", "event", "thread", "actor", "function", "operation", "object", "text", "style", "level",
)  # fmt: skip


def columns(event: s.Event, texts: Texts) -> tuple[int, ...]:
    """One event as numbers, in the order of :data:`COLUMNS`."""
    return (
        event.step,
        texts.number(s.event_name(type(event))),
        texts.number(event.thread),
        texts.number(event.actor),
        texts.number(event.function),
        texts.number(event.operation),
        texts.number(object_of(event)),
        texts.number(what_happened(event), LONGEST_TEXT),
        texts.number(style_of(event)),
        level_of(event),
    )


def level_of(event: s.Event) -> int:
    """How much an event matters."""
    if isinstance(event, s.Choice):
        return USUAL if event.taken else QUIET
    return MATTERS if matters(event) else USUAL


def causes(events: Sequence[s.Event]) -> list[int]:
    """Row of the event that led to each; -1 for none that the log has."""
    rows = {event.step: row for row, event in enumerate(events)}
    return [
        rows.get(event.cause, -1) if event.cause is not None and event.cause < event.step else -1
        for event in events
    ]


# -- lanes -------------------------------------------------------------------------------------


def drawn(drawing: Lanes, events: Sequence[s.Event], texts: Texts) -> dict[str, Any]:
    """The lanes and all that is in them."""
    threads = {lane.name: index for index, lane in enumerate(drawing.lanes) if lane.kind == "thread"}
    return {
        "lanes": [[texts.number(lane.name), lane.kind, lane.slots] for lane in drawing.lanes],
        "slices": [slice_data(each, texts) for each in drawing.slices],
        "holds": [slice_data(each, texts) for each in drawing.holds],
        "waits": [slice_data(each, texts) for each in drawing.waits],
        "at": drawing.at,
        "arrows": arrows(events, threads),
    }


def slice_data(each: Slice, texts: Texts) -> list[int]:
    """A slice as numbers."""
    return [each.lane, each.slot, each.first, each.last, each.thread, texts.number(each.label), each.parent]


def arrows(events: Sequence[s.Event], threads: dict[str, int]) -> list[list[int]]:
    """Who wakes or starts whom: row, lane of the one, lane of the other."""
    found = []
    for row, event in enumerate(events):
        if not isinstance(event, (s.Wake, s.Start)):
            continue
        other = event.waker if isinstance(event, s.Wake) else event.parent
        if other in threads and other != event.thread:
            found.append([row, threads[other], threads[event.thread]])
    return found


# -- state -------------------------------------------------------------------------------------


def state(events: Sequence[s.Event], texts: Texts) -> dict[str, Any]:
    """The parts of the state, its values, and what each event changes: ``[key, old, new, ...]``."""
    fold = Fold(events)
    keys: dict[Key, int] = {}
    values: dict[Any, int] = {None: 0}
    plain: list[Any] = [None]
    sections = sections_of(events)
    patches = [
        [number for patch in fold.feed(event) for number in patch_data(patch, keys, values, plain)]
        for event in events
    ]
    rows = [[texts.number(name), texts.number(part), sections(name)] for name, part in keys]
    return {"keys": rows, "values": plain, "patches": patches}


def patch_data(patch: Patch, keys: dict[Key, int], values: dict[Any, int], plain: list[Any]) -> list[int]:
    """A patch as numbers."""
    old, new = (value_number(value, values, plain) for value in (patch.old, patch.new))
    return [keys.setdefault(patch.key, len(keys)), old, new]


def value_number(value: Value, values: dict[Any, int], plain: list[Any]) -> int:
    """The number of a value, entered when it is new."""
    known = tuple(value.items()) if isinstance(value, dict) else value
    mark = (type(value).__name__, known) if value is not None else None
    if mark not in values:
        values[mark] = len(plain)
        plain.append(value_data(value))
    return values[mark]


def value_data(value: Value) -> Any:
    """A value as the page gets it: text, list of texts, or an object of holders."""
    if isinstance(value, dict):
        return {clipped(who, LONGEST_NAME): count for who, count in value.items()}
    if isinstance(value, tuple):
        return [clipped(item, LONGEST_NAME) for item in value]
    return value if value is None else clipped(value, LONGEST_NAME)


def sections_of(events: Sequence[s.Event]) -> Any:
    """Tells the heading of an object: by its kind, or because it is a lock or a thread."""
    threads = {event.thread for event in events}
    locks = {event.object for event in events if isinstance(event, (s.Acquire, s.Wait))}
    locks |= {n.partition("/read")[0] for event in events if isinstance(event, s.State) for n in event.locks}

    def section(name: str) -> str:
        if name in locks:
            return "Locks"
        if name in threads:
            return "Threads"
        return SECTIONS.get(name.partition(":")[0], "Others")

    return section


def problem_data(problem: Problem) -> dict[str, Any]:
    """A problem as the page gets it."""
    return {
        "row": problem.row,
        "grave": problem.grave,
        "title": clipped(problem.title, LONGEST_NAME),
        "message": clipped(problem.message, LONGEST_TEXT),
        "accesses": [clipped(text, LONGEST_TEXT) for text in problem.accesses[:8]],
        "racing": list(problem.racing),
    }


__all__ = ["MOST_STEPS", "beginning", "run_data"]
