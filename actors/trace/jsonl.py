"""Logs as files: one JSON object a line, the header first, the end last."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from actors.program import ProgramError, not_written
from actors.program.files import opened
from actors.trace.schema import EVENT_NAMES, FORMAT, VERSION, Choice, End, Event, Happening, Header, Line

LINE_LIMIT_BYTES: Final = 16 << 20
"""A longer line is no line of a log."""

EVENT_LIMIT: Final = 2_000_000
"""Events that are read into memory at most."""

_DECODER: Final = msgspec.json.Decoder(Line)
_ENCODER: Final = msgspec.json.Encoder()


class Log(NamedTuple):
    """A whole log.

    Attributes:
        header: what was run.
        events: what happened, by step.
        end: what it came to; None for a log that breaks off.
    """

    header: Header
    events: list[Event]
    end: End | None = None

    @classmethod
    def of(cls, header: Header, lines: Iterable[Line], name: str = "log", limit: int = EVENT_LIMIT) -> Log:
        """A log from its header and its other lines.

        Raises:
            ProgramError: it is damaged, or has more than ``limit`` events.
        """
        log = cls(header, [])
        for line in lines:
            if isinstance(line, End):
                log = log._replace(end=line)
                continue
            if len(log.events) == limit:
                wrong = f"a log of more than {limit:,} events; tcemu log grep --json cuts a part out"
                raise ProgramError(name, f"line {limit + 2}", wrong)
            assert not isinstance(line, Header)
            log.events.append(line)
        return log

    def choices(self) -> tuple[tuple[int, int, str], ...]:
        """Every decision of the run, as options, taken, label: enough to run it again."""
        if self.header.choices is not None:
            return self.header.choices
        chosen = [event for event in self.events if isinstance(event, Choice)]
        return tuple((c.count, c.taken, c.chosen or c.label) for c in chosen)


# -- writing -----------------------------------------------------------------------------------


def encode(line: Line) -> bytes:
    """One line of a log, with its end."""
    return _ENCODER.encode(line) + b"\n"


def encode_all(lines: Iterable[Line]) -> bytes:
    """Several lines of a log, each with its end."""
    return _ENCODER.encode_lines(list(lines))


def dump(log: Log) -> bytes:
    """A whole log as the contents of a file."""
    tail: tuple[Line, ...] = (log.end,) if log.end is not None else ()
    return _ENCODER.encode_lines([log.header, *log.events, *tail])


def write_log(path: str | Path, log: Log) -> None:
    """Write a log to a file.

    Raises:
        ProgramError: it cannot be written.
    """
    try:
        Path(path).write_bytes(dump(log))
    except OSError as problem:
        raise not_written(path, problem) from None


# -- reading -----------------------------------------------------------------------------------


def read_log(path: str | Path, limit: int = EVENT_LIMIT) -> Log:
    """Read a log from a file, or from standard input for ``-``.

    Raises:
        ProgramError: it is no log, is damaged, or has more than ``limit`` events.
    """
    lines = read_lines(path)
    header = next(lines)
    assert isinstance(header, Header)
    return Log.of(header, lines, str(path), limit)


def is_log(path: str | Path) -> bool:
    """Whether a file begins like a log does; ``-`` always does. False for one that cannot be read."""
    if str(path) == "-":
        return True
    try:
        with opened(path) as stream:
            return b'"event":"header"' in stream.read(200).replace(b" ", b"")
    except (ProgramError, OSError, EOFError):
        return False


def read_lines(path: str | Path) -> Iterator[Line]:
    """Read a log line by line, in no more memory than one of them takes: first the header, then the rest.

    The file may be packed with gzip.

    Raises:
        ProgramError: it is no log or is damaged.
    """
    if str(path) == "-":
        yield from checked(sys.stdin.buffer, "standard input")
        return
    with opened(path) as stream:
        yield from checked(stream, str(path))


def checked(stream: IO[bytes], name: str) -> Iterator[Line]:
    """Read lines and hold them to the order that a log has."""
    number, ended, step = 0, False, -1
    while data := stream.readline(LINE_LIMIT_BYTES):
        number += 1
        place = f"line {number}"
        if len(data) == LINE_LIMIT_BYTES:
            raise ProgramError(name, place, "found an endless line, expected an event")
        if ended:
            raise ProgramError(name, place, "found more lines after the end, expected none")
        if number > 1 and cut_off(data):
            return
        line = validate(data, name, number)
        ended = isinstance(line, End)
        if isinstance(line, Happening):
            if line.step <= step:
                wrong = f"found {line.step} after {step}, expected a greater one"
                raise ProgramError(name, f"{place} step", wrong)
            step = line.step
        yield line
    if number == 0:
        raise ProgramError(name, "line 1", "found an empty file, expected a log")


def cut_off(data: bytes) -> bool:
    """Whether the writer of a line was ended in the middle of it, which leaves the lines before it whole."""
    if data.endswith(b"\n"):
        return False
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    except RecursionError:
        return False
    return False


def validate(data: bytes | str, name: str = "log", number: int = 1) -> Line:
    """Read one line of a log.

    Args:
        data: the line.
        name: of the file, for errors.
        number: of the line, from 1; the first is the header and no other is.

    Raises:
        ProgramError: the line is not what it should be.
    """
    raw = data.encode() if isinstance(data, str) else data
    place = f"line {number}"
    try:
        line: Line = _DECODER.decode(raw)
    except msgspec.ValidationError as problem:
        if number == 1 and b'"event":"header"' not in raw[:200]:
            raise ProgramError(name, place, f"found no header, expected a log of format {FORMAT}") from None
        raise refusal(name, place, str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProgramError(name, place, "found what is no JSON, expected an event") from None
    if isinstance(line, Header) is not (number == 1):
        found = "another header" if number > 1 else "no header"
        raise ProgramError(name, place, f"found {found}, expected one, in line 1")
    if isinstance(line, Header) and line.version != VERSION:
        raise ProgramError(name, f"{place} version", f"found {line.version}, expected {VERSION}")
    return line


def refusal(name: str, place: str, text: str) -> ProgramError:
    """The error for a line whose shape is wrong, from the words of the decoder."""
    what, _, path = text.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if field == "event":
        return ProgramError(name, f"{place} event", f"{what}, expected one of {', '.join(EVENT_NAMES)}")
    return ProgramError(name, f"{place} {field}".rstrip(), what.replace("`", ""))


__all__ = [
    "EVENT_LIMIT", "LINE_LIMIT_BYTES", "Log", "checked", "dump", "encode", "encode_all", "is_log",
    "read_lines", "read_log", "refusal", "validate", "write_log",
]  # fmt: skip
