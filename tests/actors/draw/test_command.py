"""``tcemu draw``."""

from __future__ import annotations

import gzip
import os
import threading
from contextlib import contextmanager

import pytest
from msgspec import structs

from actors.cli.app import run
from actors.draw import rundata
from actors.explore import save_failure
from actors.trace.jsonl import dump, write_log


@pytest.fixture
def file(log, tmp_path):
    write_log(tmp_path / "run.jsonl", log)
    return tmp_path / "run.jsonl"


def test_it_draws_a_log(file, tmp_path, capsys):
    assert run(["draw", str(file), "-o", str(tmp_path / "run.html")]) == 0
    assert "steps of exit-with-lazy-borrower" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_it_draws_a_failure_by_running_it_again(failure, file, tmp_path, capsys):
    kept = save_failure(failure, tmp_path)
    assert run(["draw", str(kept), "-o", str(tmp_path / "a.html")]) == 0
    assert run(["draw", str(file), "-o", str(tmp_path / "b.html")]) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    capsys.readouterr()


def test_it_reads_gzip_and_writes_to_standard_output(log, tmp_path, capsys):
    (tmp_path / "run.jsonl.gz").write_bytes(gzip.compress(dump(log)))
    assert run(["draw", str(tmp_path / "run.jsonl.gz"), "--form", "html"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_it_compares_two_runs(file, log, tmp_path, capsys):
    write_log(tmp_path / "other.jsonl", log._replace(events=log.events[:60]))
    assert (
        run(["draw", str(file), "--compare", str(tmp_path / "other.jsonl"), "-o", str(tmp_path / "two.html")])
        == 0
    )
    assert '"row":60' in (tmp_path / "two.html").read_text(encoding="utf-8")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{log}"], "--output: found none"),
        (["{log}", "-o", "run.png"], "expected a name that ends in"),
        (["{log}", "-o", "{log}/run.html"], "cannot be written: Not a directory"),
        (["{log}", "-o", "{folder}"], "cannot be written: Is a directory"),
        (["{folder}/none.jsonl", "-o", "run.html"], "No such file"),
        (["{log}", "--form", "svg", "--compare", "{log}"], "--compare: svg shows one run"),
    ],
)
def test_bad_input_is_one_line(file, tmp_path, capsys, arguments, says):
    values = {"log": str(file), "folder": str(tmp_path)}
    assert run(["draw", *(argument.format(**values) for argument in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and "\n" not in error


DEEP = (
    '{"event":"access","step":0,"thread":"t","actor":"","object":"o","field":"f","after":'
    + "[" * 400
    + "]" * 400
    + "}"
)
HEADER = '{"event":"header","format":"tcemu-log","version":1,"kernel":"fixed"}\n'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty file"),
        ("{}", "found no header"),
        ("\x89PNG\r\n", "found what is no JSON"),
        ('{"format": "tcemu-failure", "version": 99}', "missing required field"),
        (HEADER, "found no events"),
        (HEADER + '{"event":"start","st', "found no events"),
        (HEADER + '{"event":"start","st\n', "found what is no JSON"),
        (HEADER + '{"event":"start","step":99999999999999999999,"thread":"t","actor":""}\n', "step"),
        (HEADER + DEEP + "\n", "nested too deeply"),
    ],
)
def test_a_file_that_is_no_log_is_one_line(tmp_path, capsys, content, says):
    bad = tmp_path / "bad"
    bad.write_text(content, encoding="latin-1")
    assert run(["draw", str(bad), "-o", str(tmp_path / "run.html")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "the log has no end" not in line]
    assert len(lines) == 1 and says in lines[0]
    assert not (tmp_path / "run.html").exists()


def test_a_log_that_breaks_off_is_drawn_as_far_as_it_goes(file, tmp_path, capsys):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:40]) + lines[40][:-9])
    assert run(["draw", str(file), "-o", str(tmp_path / "run.html")]) == 0
    assert "cut off after 39 events" in capsys.readouterr().err
    assert '"verdict":"cut off"' in (tmp_path / "run.html").read_text(encoding="utf-8")


@contextmanager
def piped(path, data):
    """A named pipe through which ``data`` comes, once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    yield str(path)
    writer.join()


def test_a_pipe_is_read_once(file, failure, tmp_path, capsys):
    for name, data in (("a", file.read_bytes()), ("b", save_failure(failure, tmp_path).read_bytes())):
        with piped(tmp_path / name, data) as pipe:
            assert run(["draw", pipe, "-o", str(tmp_path / "new" / "run.html")]) == 0
    with piped(tmp_path / "c", b"{}") as pipe:
        assert run(["draw", pipe, "-o", str(tmp_path / "run.html")]) == 2
    assert capsys.readouterr().err.startswith(f"{pipe}: line 1: found no header")


@pytest.mark.parametrize(
    "changes", [{"verdict": "oops"}, {"digest": "0"}, {"invariant": "J-K2"}, {"budget": 9}], ids=str
)
def test_a_failure_that_no_longer_fits_is_not_drawn(failure, tmp_path, capsys, changes):
    kept = save_failure(structs.replace(failure, **changes), tmp_path)
    assert run(["draw", str(kept), "-o", str(tmp_path / "run.html")]) == 3
    assert "the recording does not fit" in capsys.readouterr().err
    assert not (tmp_path / "run.html").exists()


def test_of_a_run_that_is_too_long_the_beginning_is_drawn(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rundata, "MOST_STEPS", 50)
    assert run(["draw", str(file), "-o", str(tmp_path / "run.html")]) == 0
    said = capsys.readouterr()
    assert "too long for a page, drawn are the first 50 of its" in said.err
    assert "run.html: 50 steps of" in " ".join(said.out.split())
    assert "(the first 50 of " in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_two_programs_side_by_side_are_told(file, log, tmp_path, capsys):
    write_log(tmp_path / "other.jsonl", log._replace(header=structs.replace(log.header, name="another")))
    other, page = (str(tmp_path / name) for name in ("other.jsonl", "t.html"))
    assert run(["draw", str(file), "--compare", other, "-o", page]) == 0
    assert "--compare: exit-with-lazy-borrower and another are different programs" in capsys.readouterr().err
    assert '"unlike":"exit-with' in (tmp_path / "t.html").read_text(encoding="utf-8")
