"""Files to values and back: the one place to load anything that runs.

A file says itself what it is, by its `format` key; its name does not matter.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from actors.program import programs, streams, vectors
from actors.program.check import Known, check
from actors.program.errors import ProgramError, Refusal, refuse
from actors.program.files import first_line, read_document, read_lines
from actors.program.values import Program, Stream, VectorFile

FORMATS = (programs.FORMAT, vectors.FORMAT, streams.FORMAT)


def load(path: str | Path) -> Program | VectorFile | Stream:
    """Read a file of any of the three formats.

    Raises:
        ProgramError: One line with file, place and what was expected.
    """
    if _format_of(first_line(path)) == streams.FORMAT:
        return load_stream(path)
    raw = read_document(path)
    found = _format_of(raw)
    if found == vectors.FORMAT:
        return _vectors(raw, str(path))
    if found == programs.FORMAT:
        return parse_program(raw, str(path))
    raise refuse(found, " or ".join(FORMATS)).within("format").at(str(path))


def load_programs(path: str | Path) -> tuple[Program, ...]:
    """Read a file of any of the three formats as the programs in it.

    Raises:
        ProgramError: The file is malformed.
    """
    loaded = load(path)
    if isinstance(loaded, VectorFile):
        return loaded.programs
    return (loaded.program,) if isinstance(loaded, Stream) else (loaded,)


def load_program(path: str | Path, kernel: Known | None = None, defect: Known | None = None) -> Program:
    """Read a concurrent program and check it.

    Args:
        path: The file.
        kernel: Says whether a kernel of that name exists; None takes any.
        defect: The same for a defect's slug.

    Raises:
        ProgramError: The file is malformed, or the program cannot run.
    """
    return parse_program(read_document(path), str(path), kernel, defect)


def load_vectors(path: str | Path) -> VectorFile:
    """Read a file of recorded vectors.

    Raises:
        ProgramError: The file is malformed.
    """
    return _vectors(read_document(path), str(path))


def load_stream(path: str | Path) -> Stream:
    """Read a recorded client stream, packed or not.

    Raises:
        ProgramError: The file is malformed or truncated; names the line.
    """
    return streams.read_stream(read_lines(path), str(path))


def parse_program(
    raw: object, file: str = "program", kernel: Known | None = None, defect: Known | None = None
) -> Program:
    """A checked program from JSON values; see `load_program`.

    Raises:
        ProgramError: It is malformed, or cannot run.
    """
    try:
        programs.require_format(raw, programs.FORMAT)
        program = programs.read_program(raw)
    except Refusal as refusal:
        raise refusal.at(file) from None
    check_program(program, file, kernel, defect)
    return program


def check_program(
    program: Program, file: str = "program", kernel: Known | None = None, defect: Known | None = None
) -> None:
    """Check a program that was made in code as one that was read; see `load_program`.

    Raises:
        ProgramError: It cannot run.
    """
    try:
        check(program, kernel, defect)
    except Refusal as refusal:
        raise refusal.at(file) from None


def parse_exact(raw: object, file: str = "program") -> Program:
    """Any program as `write_program` spells it, vectors and streams included, keys and types checked.

    Raises:
        ProgramError: It is malformed.
    """
    try:
        programs.require_format(raw, programs.FORMAT)
        return programs.read_program(raw, exact=True)
    except Refusal as refusal:
        raise refusal.at(file) from None


def _vectors(raw: object, file: str) -> VectorFile:
    try:
        return vectors.read_vectors(raw, file)
    except Refusal as refusal:
        raise refusal.at(file) from None


def dump_program(program: Program) -> bytes:
    """The program as a file: JSON in a fixed order of keys, one step a line."""
    return (_pretty(programs.write_program(program), "") + "\n").encode()


def save_program(program: Program, path: str | Path) -> None:
    """Write the program to a file."""
    Path(path).write_bytes(dump_program(program))


def digest(program: Program) -> str:
    """SHA-256 of the program's canonical form, as 64 hexadecimal digits."""
    plain = msgspec.json.encode(programs.write_program(program), order="sorted")
    return hashlib.sha256(plain).hexdigest()


def _pretty(value: Any, indent: str) -> str:
    """The file itself and whatever holds steps is opened up; anything else is one line."""
    if indent and not _holds_objects(value):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + _pretty(each, inner) for each in value) + f"\n{indent}]"
    pairs = ((json.dumps(key, ensure_ascii=False), _pretty(each, inner)) for key, each in value.items())
    return "{\n" + ",\n".join(f"{inner}{key}: {each}" for key, each in pairs) + f"\n{indent}}}"


def _holds_objects(value: Any) -> bool:
    """Whether the value is an array of objects, or an object that has one."""
    if isinstance(value, list):
        return any(isinstance(each, dict) for each in value)
    return isinstance(value, dict) and any(map(_holds_objects, value.values()))


def _format_of(raw: object) -> object:
    return raw.get("format") if isinstance(raw, dict) else None


__all__ = [
    "FORMATS",
    "ProgramError",
    "check_program",
    "digest",
    "dump_program",
    "load",
    "load_program",
    "load_programs",
    "load_stream",
    "load_vectors",
    "parse_exact",
    "parse_program",
    "save_program",
]
