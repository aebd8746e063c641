"""Tables fit 100 columns, are plain in a pipe and coloured on a terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest

from actors.cli.tables import Cell, Column, plural, print_json, print_line, print_table, progress

COLUMNS = (Column("name"), Column("count", right=True), Column("text", wraps=True))


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a", 1234, "short"), ("long-name", 2.5, Cell("red", "red"))])
    assert capsys.readouterr().out.splitlines() == [
        "name       count  text",
        "a          1,234  short",
        "long-name   2.50  red",
    ]


def test_long_text_is_broken_at_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a", 1, "word " * 60)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len({line.index("word") for line in lines[1:]}) == 1


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [])
    assert capsys.readouterr().out == "name  count  text\n"


def test_lines_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("word " * 40, 4, bold=True)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("    word") and len(line) <= 100 for line in lines)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_only_where_it_is_wanted(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    print_table([Column("x")], [[Cell("bad", "red")]])
    assert ("\x1b[31m" in terminal.getvalue()) is coloured


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": (1, None)})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10) as advance:
        advance(1, "working")
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(10) as advance:
        advance(3, "working on it")
    assert "working on it" in terminal.getvalue()


def test_plural() -> None:
    assert [plural(0, "row"), plural(1, "row"), plural(2000, "row")] == ["0 rows", "1 row", "2,000 rows"]
