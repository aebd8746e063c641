"""An event as one line of text: step, thread, actor, and what happened, within 100 columns."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from typing import Any, Final

from actors.trace import schema as s

WIDTH = 100
STEP, THREAD, ACTOR = 6, 12, 13

Paint = Callable[[str, str], str]
"""Gives a text a style: ``dim``, ``bold``, ``red``, ``yellow``, ``magenta``, ``cyan``, ``green``."""

CODES: Final = {
    "dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36",
}  # fmt: skip


def no_paint(text: str, style: str) -> str:
    """The text as it is."""
    return text


def ansi_paint(text: str, style: str) -> str:
    """The text with the escape codes of a terminal."""
    return f"\033[{CODES[style]}m{text}\033[0m" if style else text


def console_line(event: s.Line, paint: Paint = no_paint, width: int = WIDTH) -> str:
    """The whole line."""
    if isinstance(event, s.Header):
        return paint(clipped(header_text(event), width), "bold")
    if isinstance(event, s.End):
        return paint(clipped(end_text(event), width), "green" if event.verdict == "ok" else "red")
    step = str(event.step).rjust(STEP)
    who = clipped(event.thread, THREAD).ljust(THREAD)
    where = clipped(event.actor, ACTOR).ljust(ACTOR)
    what = clipped(what_happened(event), width - STEP - THREAD - ACTOR - 3)
    return f"{paint(step, 'dim')} {paint(who, 'bold')} {where} {paint(what, style_of(event))}".rstrip()


def clipped(text: str, width: int) -> str:
    """The text in one line of at most ``width`` printable characters."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def style_of(event: s.Event) -> str:
    """How an event is to stand out."""
    if event.level == "error":
        return "red"
    if event.level == "warning" or isinstance(event, s.Fault):
        return "yellow"
    if isinstance(event, s.Wait):
        return "magenta"
    if isinstance(event, s.Choice):
        return "cyan" if event.taken else "dim"
    return "dim" if event.level == "debug" and not changes(event) else ""


def changes(event: s.Event) -> bool:
    """Whether the event is an access that changed something."""
    return isinstance(event, s.Access) and event.write and event.before != event.after


def header_text(header: s.Header) -> str:
    """The first line."""
    seed = "" if header.seed is None else f", seed {header.seed}"
    order = f"{header.strategy or header.runtime}{seed}"
    return f"{header.name or 'a run'} on {header.kernel} ({order})"


def end_text(end: s.End) -> str:
    """The last line."""
    parts = [end.verdict, end.invariant, end.message, f"known as {end.known_as}" if end.known_as else ""]
    return f"after {end.step} events: " + ": ".join(part for part in parts if part)


def what_happened(event: s.Event) -> str:
    """What happened, without who and where."""
    try:
        return WORDS[type(event)](event)
    except RecursionError:
        return "values nested too deeply to be shown"


def number(value: Any) -> str:
    """A value as people read it: large numbers in hexadecimal."""
    if isinstance(value, (dict, list, tuple)):
        return listed(value)
    if isinstance(value, int) and abs(value) >= 1 << 16:
        return hex(value)
    return "-" if value is None else str(value)


def listed(value: Any) -> str:
    """A compound value in short."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={number(part)}" for key, part in value.items())
    return "[" + ", ".join(number(part) for part in value) + "]"


def result(value: Any) -> str:
    """What a call returned: a negative number as the name of the error."""
    if isinstance(value, int) and not isinstance(value, bool) and -value in errorcode:
        return f"-{errorcode[-value]}"
    return number(value)


def target(event: s.Access) -> str:
    """The name of what was accessed: ``mm:0.locked_vm``."""
    return joined(event.object, event.field)


def joined(name: str, field: str) -> str:
    """A shared variable's full name."""
    return f"{name}{'' if not field or field.startswith('[') else '.'}{field}"


def access_text(event: s.Access) -> str:
    """An access: the value, or how it changed, and by whom."""
    holder = f" ({event.holder})" if event.holder else ""
    place = f"  {event.function}" if event.function else ""
    if event.kind in {"list", "rcu"}:
        moved = [f"+{number(event.after)}"] if event.after is not None else []
        moved += [f"-{number(event.before)}"] if event.before is not None else []
        return f"{target(event)} {' '.join(moved) or 'is walked'}{place}"
    if not changes(event):
        kept = " kept" if event.write else ""
        return f"{target(event)} = {number(event.after)}{kept}{holder}{place}"
    return f"{target(event)} {number(event.before)} → {number(event.after)}{holder}{place}"


def finish_text(event: s.Finish) -> str:
    """The end of a thread."""
    if event.error:
        return f"ends by {event.error}"
    return "ends" if event.result is None else f"ends, returns {result(event.result)}"


def request_text(event: s.Request) -> str:
    """A request; that of an ioctl under the ioctl's name."""
    name = event.request
    arguments = {key: value for key, value in event.args.items() if key != "cmd"}
    if name == "sys_ioctl" and event.operation:
        name, _ = event.operation, arguments.pop("fd", None)
    return f"→ {event.to} {name}({listed(arguments)})"


def reply_text(event: s.Reply) -> str:
    """The answer to a request."""
    return f"← {event.request} = {event.error or result(event.ret)}"


def wait_text(event: s.Wait) -> str:
    """Whom a thread waits for."""
    return f"waits for {event.object}, held by {', '.join(event.holders) or 'nobody'}"


def choice_text(event: s.Choice) -> str:
    """A decision."""
    if not event.options:
        return f"choice {event.number}: {event.label}: {event.taken} of {event.count}"
    return f"choice {event.number}: {event.chosen} of {', '.join(event.options)}"


def dma_text(event: s.Dma) -> str:
    """A device's access, and whom it hit."""
    hits = ", ".join(f"frame {h['pfn']} of {h['owner'] or 'nobody'}" for h in event.hits[:2])
    verb = "writes" if event.write else "reads"
    about = f"{event.device} {verb} {number(event.size)} bytes at {number(event.iova)}"
    return f"{about}: {hits or 'nothing hit'}"


def state_text(event: s.State) -> str:
    """The state in one line."""
    pinned = sum(event.pins_by_holder.values())
    counts = ((len(event.mms), "mm"), (len(event.regions), "region"), (pinned, "pinned page"))
    return "state: " + ", ".join(f"{n:,} {name}{'s' * (n != 1)}" for n, name in counts)


WORDS: Final[dict[type[s.Record], Callable[[Any], str]]] = {
    s.Start: lambda e: f"begins{f', started by {e.parent}' if e.parent else ''}",
    s.Finish: finish_text,
    s.Request: request_text,
    s.Reply: reply_text,
    s.Access: access_text,
    s.Wait: wait_text,
    s.Wake: lambda e: f"need not wait for {e.object} any longer{f', thanks to {e.waker}' if e.waker else ''}",
    s.Acquire: lambda e: f"takes {e.object}{'' if e.mode == 'acquire' else f' for {e.mode}'}",
    s.Release: lambda e: f"gives {e.object} back",
    s.Choice: choice_text,
    s.Fault: lambda e: f"{e.failpoint} fails, as told",
    s.Warn: lambda e: f"WARN {e.place}: {e.message}",
    s.Misuse: lambda e: f"{e.invariant} broken in {e.place}: {e.message}",
    s.Oops: lambda e: f"Oops: {e.message} in {e.place}{f' ({e.invariant})' if e.invariant else ''}",
    s.Violation: lambda e: f"{e.invariant} broken: {e.message}",
    s.Dma: dma_text,
    s.State: state_text,
}
"""How each kind of event is told."""
