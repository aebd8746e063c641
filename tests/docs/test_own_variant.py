"""The code blocks of the walk-through run as typed, and print what stands below them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "own-variant.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def hand_written(page: str) -> str:
    """The page without its generated blocks."""
    return re.sub(r"<!-- begin .*?<!-- end -->", "", page, flags=re.DOTALL)


def test_blocks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("own_variant")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    said = expected = ""
    for language, text in BLOCK.findall(hand_written(PAGE.read_text())):
        if language == "python":
            exec(compile(text, str(PAGE), "exec"), module.__dict__)
            said += capsys.readouterr().out
        else:
            expected += text
    assert said == expected
