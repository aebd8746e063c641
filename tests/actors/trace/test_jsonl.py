from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.program import ProgramError
from actors.trace import jsonl
from actors.trace.jsonl import dump, read_log, validate, write_log

HEADER = b'{"event":"header","format":"tcemu-log","version":1,"kernel":"fixed"}\n'
START = b'{"event":"start","step":0,"thread":"a"}\n'
END = b'{"event":"end","step":1}\n'


def refusal(tmp_path, data: bytes) -> str:
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    with pytest.raises(ProgramError) as caught:
        read_log(path)
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_log_survives_a_file(tmp_path, log):
    path = tmp_path / "run.jsonl"
    write_log(path, log)
    assert read_log(path) == log
    assert path.read_bytes() == dump(log)


def test_a_packed_log(tmp_path, log):
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(dump(log)))
    assert read_log(path) == log


def test_a_log_that_breaks_off_between_lines_has_no_end(tmp_path):
    (tmp_path / "run.jsonl").write_bytes(HEADER + START)
    log = read_log(tmp_path / "run.jsonl")
    assert log.end is None
    assert len(log.events) == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "line 1: found an empty file, expected a log"),
        (b"\x7fELF", "line 1: found what is no JSON, expected an event"),
        (b'{"format":"tcemu-program"}\n', "line 1: found no header, expected a log of format tcemu-log"),
        (START, "line 1: found no header"),
        (HEADER + HEADER, "line 2: found another header"),
        (HEADER.replace(b":1", b":9"), "line 1 version: found 9, expected 1"),
        (HEADER.replace(b"tcemu-log", b"x"), "line 1 format: Invalid enum value 'x'"),
        (HEADER + START + b'{"event":"sta\n', "line 3: found what is no JSON, expected an event"),
        (HEADER[:-9], "line 1: found what is no JSON, expected an event"),
        (HEADER + START.replace(b"0", b'"0"'), "line 2 step: Expected int, got str"),
        (HEADER + START.replace(b"start", b"begin"), "line 2 event: Invalid value 'begin', expected one of"),
        (HEADER + START.replace(b"thread", b"thraed"), "line 2"),
        (HEADER + START + START, "line 3 step: found 0 after 0, expected a greater one"),
        (HEADER + START + END + START, "line 4: found more lines after the end, expected none"),
        (HEADER + b"[" * 100_000, "line 2: Expected object, got array"),
    ],
)
def test_a_bad_log_is_refused_in_one_line(tmp_path, data, text):
    assert refusal(tmp_path, data).startswith(text)


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "LINE_LIMIT_BYTES", 200)
    assert refusal(tmp_path, HEADER + b" " * 300) == "line 2: found an endless line, expected an event"


def test_a_log_that_is_too_long(tmp_path, log):
    write_log(tmp_path / "run.jsonl", log)
    with pytest.raises(ProgramError, match=r"line 12: a log of more than 10 events"):
        read_log(tmp_path / "run.jsonl", limit=10)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ProgramError, match="No such file"):
        read_log(tmp_path / "nothing")
    with pytest.raises(ProgramError, match="No such file"):
        write_log(tmp_path / "nowhere" / "run.jsonl", jsonl.Log(validate(HEADER), []))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_one_error(data):
    try:
        validate(data, "log", 2)
    except ProgramError as error:
        assert "\n" not in str(error)


def test_the_choices_are_those_of_the_header_where_there_are_any(log):
    header = validate(HEADER[:-2] + b',"choices":[[2,1,"a"]]}')
    assert log._replace(header=header).choices() == ((2, 1, "a"),)
    assert len(log.choices()) > 1
