"""A pipe is read once, and may then be read as often as one likes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors.cli import pipes
from actors.cli.pipes import original, settled


def test_a_file_is_left_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in (str(tmp_path / "file"), str(tmp_path / "none"), "a\0b"):
        assert settled(name) == name


def test_standard_input_is_read_once_and_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "NAMES", {})
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"some\n")))
    copy = settled("-")
    assert settled("-") == copy
    assert Path(copy).read_bytes() == b"some\n"
    assert original(f"{copy}: line 1") == "standard input: line 1"
