"""Logs whose every event is sound and which still do not fit together."""

from __future__ import annotations

import io

import pytest

from actors.program import ProgramError
from actors.trace.checked import as_text, check
from actors.trace.jsonl import checked, dump

HEADER = b'{"event":"header","format":"tcemu-log","version":1,"kernel":"fixed"}\n'
START = b'{"event":"start","step":0,"thread":"a"}\n'


def judged(data: bytes):
    return check(checked(io.BytesIO(data), "log"), "log")


def test_a_whole_log(log):
    found = judged(dump(log))
    assert (found.total, found.missing, found.end) == (len(log.events), 0, log.end)
    assert "whole, ended with" in as_text(found)


def test_a_part_of_a_log_and_one_that_was_cut_off(log):
    assert judged(dump(log._replace(events=log.events[10:]))).missing == 10
    cut = judged(dump(log._replace(end=None)))
    assert cut.end is None
    assert "cut off" in as_text(cut)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"event":"finish","step":1,"thread":"a","cause":7}\n', "line 3 cause: found 7"),
        (b'{"event":"finish","step":1,"thread":"a","cause":1}\n', "line 3 cause: found 1"),
        (b'{"event":"reply","step":1,"thread":"a","of":0}\n', "line 3 of: found 0"),
        (b'{"event":"end","step":9}\n', "line 3 step: found 9, expected 1"),
    ],
)
def test_what_does_not_fit_is_named(line, text):
    with pytest.raises(ProgramError) as caught:
        judged(HEADER + START + line)
    assert text in str(caught.value)
