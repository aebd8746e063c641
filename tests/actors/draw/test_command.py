"""``tcemu draw``."""

from __future__ import annotations

import gzip

import pytest

from actors.cli.app import run
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
        (["{log}", "-o", "{folder}/no/run.html"], "No such file"),
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
