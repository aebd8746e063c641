"""Reading files that may be anything: limits first, then JSON.

Whatever stands in a file, reading it costs bounded memory and ends in values or in one
`ProgramError`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import msgspec

from actors.program.errors import ProgramError, not_read

DOCUMENT_BYTES = 64 << 20
LINE_BYTES = 1 << 20
STREAM_BYTES = 256 << 20
STREAM_LINES = 1 << 19
_GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def opened(path: str | Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where it is gzip.

    Raises:
        ProgramError: It cannot be opened, read or unpacked; also while it is read.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP_MAGIC
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ProgramError(file, "gzip", f"damaged or truncated: {error}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ProgramError):
            raise
        raise not_read(file, error) from None


def read_document(path: str | Path) -> object:
    """The JSON value that the whole file is.

    Raises:
        ProgramError: No JSON object, or larger than `DOCUMENT_BYTES`.
    """
    file = str(path)
    with opened(path) as stream:
        start = stream.read(LINE_BYTES)
        _require_object(start, file, "byte 0")
        data = start + stream.read(DOCUMENT_BYTES + 1 - len(start))
    if len(data) > DOCUMENT_BYTES:
        raise ProgramError(file, f"byte {DOCUMENT_BYTES}", f"longer than the {DOCUMENT_BYTES} bytes allowed")
    return decode(data, file)


def read_lines(path: str | Path) -> Iterator[tuple[str, object]]:
    """The JSON values of a file with one a line, each with its place ("line 12").

    Raises:
        ProgramError: A line is no JSON object or too long, or the file too large.
    """
    file, total = str(path), 0
    with opened(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LINE_BYTES + 1), b""), 1):
            place, total = f"line {number}", total + len(line)
            if len(line) > LINE_BYTES or total > STREAM_BYTES:
                raise ProgramError(file, place, f"longer than a line ({LINE_BYTES} bytes) or file may be")
            if number > STREAM_LINES:
                raise ProgramError(file, place, f"more than {STREAM_LINES} lines; a row may have repeat")
            _require_object(line, file, place)
            yield place, decode(line, file, place)


def first_line(path: str | Path) -> object:
    """The JSON value of the first line, or None where it is not one by itself."""
    with opened(path) as stream:
        try:
            return decode(stream.readline(LINE_BYTES), str(path))
        except ProgramError:
            return None


def decode(data: bytes, file: str, place: str = "") -> object:
    """The JSON value of some bytes.

    Raises:
        ProgramError: They are no JSON.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise ProgramError(file, place or "top level", "nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        reason, _, at = str(error).removeprefix("JSON is malformed: ").removesuffix(")").partition(" (byte ")
        where = " ".join(filter(None, (place, f"byte {at or len(data)}")))
        raise ProgramError(file, where, f"not JSON: {reason}") from None


def _require_object(start: bytes, file: str, place: str) -> None:
    text = start.lstrip(b" \t\r\n")
    if not text.startswith(b"{"):
        found = "nothing" if not start else "blanks" if not text else ascii(text[:8])[1:]
        raise ProgramError(file, place, f"found {found}, expected a JSON object")
