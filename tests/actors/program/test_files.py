"""Files that may be anything: one line of error, bounded memory, no other exception."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.program import ProgramError, load, load_program, load_programs, load_stream, load_vectors
from actors.program.files import DOCUMENT_BYTES

LOADERS: list[Callable[[Path], Any]] = [load, load_program, load_programs, load_stream, load_vectors]
PROGRAM = {"format": "tcemu-program", "version": 1, "name": "p", "setup": [], "threads": []}


def failure(read: Callable[[Path], Any], path: Path) -> ProgramError:
    with pytest.raises(ProgramError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


CONTENTS: list[tuple[bytes, str]] = [
    (b"", "found nothing, expected a JSON object"),
    (b" \n", "found blanks, expected a JSON object"),
    (b"[]", "expected a JSON object"),
    (b"\x7fELF\x02\x01", "expected a JSON object"),
    (b'{"format": ', "not JSON"),
    (b"{} {}", "not JSON"),
    (b'{"format": "\xff"}', "not JSON"),
    (b'{"format": NaN}', "not JSON"),
    (b'{"version": 1e999}', "not JSON"),
    (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
    (b"\x1f\x8b garbage", "damaged or truncated"),
]


@pytest.mark.parametrize("read", LOADERS)
@pytest.mark.parametrize(("content", "message"), CONTENTS, ids=[message for _, message in CONTENTS])
def test_no_json(read: Callable[[Path], Any], content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    assert message in failure(read, path).message


@pytest.mark.parametrize("read", LOADERS)
def test_what_cannot_be_opened(read: Callable[[Path], Any], tmp_path: Path) -> None:
    assert failure(read, tmp_path / "none").message == "No such file or directory"
    assert failure(read, tmp_path).message == "Is a directory"


@pytest.mark.parametrize("read", LOADERS)
def test_ten_gigabytes_of_zeros_are_refused_at_once(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.touch()
    os.truncate(path, 10 << 30)
    start = time.perf_counter()
    failure(read, path)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("read", [load, load_program, load_stream, load_vectors])
def test_a_huge_object_is_refused(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b'{"name": "' + b"x" * (DOCUMENT_BYTES + 1))
    assert "longer than" in failure(read, path).message


def test_the_format_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "program.jsonl.gz"
    path.write_text(json.dumps(PROGRAM))
    assert load_programs(path)[0].name == "p"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"format": "z"}, "format: found 'z', expected tcemu-program or"),
        ({}, "format: found null, expected tcemu-p"),
    ],
)
def test_an_unknown_format(raw: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps(raw))
    assert str(failure(load, path)).startswith(f"{path}: {message}")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    failure(load, path)


TEXT = json.dumps(
    PROGRAM | {"setup": [{"actor": 0, "op": "exit"}] * 4, "about": "é"}, ensure_ascii=False
).encode()


@settings(deadline=None, derandomize=True)
@given(st.integers(0, len(TEXT) - 1))
def test_a_truncated_program_is_an_error(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.json"
    path.write_bytes(TEXT[:end])
    failure(load, path)
    failure(load_program, path)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(TEXT[:at] + bytes([byte]) + TEXT[at + 1 :])
    try:
        load_program(path)
    except ProgramError as error:
        assert len(str(error).splitlines()) == 1
