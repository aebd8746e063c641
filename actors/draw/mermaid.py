"""A run as a Mermaid sequence diagram: actors side by side, requests and replies as arrows.

Only the steps that matter are drawn, with the requests that led to them; such diagrams are read in
merge requests and wikis, where there is no room for more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from actors.draw.matter import table_of, with_causes
from actors.trace import schema as s
from actors.trace.interleaving import short_operation, short_text
from actors.trace.jsonl import Log
from actors.trace.text import clipped, header_text, result, what_happened

MOST: Final = 40
MACHINE: Final = "machine"
LONGEST: Final = 90
WORTH_A_NOTE: Final = (s.Access, s.Wait, s.Fault, s.Dma)


def draw(log: Log, most: int = MOST) -> str:
    """Return the diagram as text.

    Args:
        log: of the run.
        most: steps to draw, beside the requests that led to them.
    """
    table = table_of(log, most)
    events = with_causes(log, {row.step for row in table.rows})
    actors = list(dict.fromkeys(actors_of(events))) or [MACHINE]
    names = {actor: f"a{number}" for number, actor in enumerate(actors)}
    lines = ["---", f"title: {quoted(header_text(log.header))}", "---", "sequenceDiagram"]
    lines += [f"    participant {names[actor]} as {safe(actor)}" for actor in actors]
    for event in events:
        lines += [f"    {line}" for line in drawn(event, names)]
    if table.left_out:
        lines.append(f"    Note over {names[actors[0]]}: {table.left_out} steps are left out")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A title as the front matter takes it: a string of YAML."""
    plain = "".join(char if char.isprintable() and char not in "\\\"" else " " for char in text)
    return f'"{plain}"'


def actors_of(events: Iterable[s.Event]) -> Iterator[str]:
    """The actors that something is drawn at, in order of appearance."""
    for event in events:
        if not isinstance(event, s.KERNEL_MESSAGES):
            yield place(event)
        if isinstance(event, s.Request):
            yield event.to


def place(event: s.Event) -> str:
    """The actor at which an event is drawn."""
    return event.actor or MACHINE


def drawn(event: s.Event, names: dict[str, str]) -> Iterator[str]:
    """The lines of an event."""
    here = names.get(place(event), "")
    who = safe(event.thread)
    if isinstance(event, s.Request):
        title = short_operation(event.operation) if event.request.startswith("sys_") else event.request
        yield f"{here}->>{names[event.to]}: {who}: {safe(title)}"
    elif isinstance(event, s.Reply):
        to = names.get(event.to or MACHINE)
        if to is not None and to != here:
            yield f"{here}-->>{to}: {who}: {safe(event.error or result(event.ret))}"
    elif isinstance(event, s.KERNEL_MESSAGES):
        first, *_, last = [*names.values(), *names.values()]
        over = first if first == last else f"{first},{last}"
        yield "rect rgb(255, 214, 214)"
        yield f"Note over {over}: {event.step}: {safe(what_happened(event), 2 * LONGEST)}"
        yield "end"
    elif isinstance(event, WORTH_A_NOTE):
        yield f"Note over {here}: {event.step}: {who}: {safe(short_text(event))}"
    elif isinstance(event, s.Finish):
        yield f"Note over {here}: {event.step}: {who} {safe(short_text(event))}"


def safe(text: str, longest: int = LONGEST) -> str:
    """Text in which nothing has a meaning to Mermaid."""
    return re.sub(r"[#;<>&\"%{}\\]", lambda match: f"#{ord(match[0])};", clipped(text, longest))
