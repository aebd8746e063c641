"""The code blocks of the how-tos run as typed, and print what stands below them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from actors.testing.options import OPTIONS
from docs.generate.blocks import PAGES

pytest_plugins = ["pytester"]

BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOWTOS = [PAGES / f"howto-{name}.md" for name in ("scenario", "oracle", "strategy", "hypothesis", "ci")]


@pytest.mark.parametrize("page", HOWTOS, ids=lambda page: page.stem)
def test_blocks(page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(page.stem.replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    said = expected = ""
    for language, text in BLOCK.findall(page.read_text()):
        if language == "python":
            exec(compile(text, str(page), "exec", dont_inherit=True), module.__dict__)
            said += capsys.readouterr().out
        else:
            expected += text
    assert said == expected


def test_tests_of_the_page_on_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    blocks = BLOCK.findall((PAGES / "howto-pytest.md").read_text())
    pytester.makepyfile("\n\n".join(text for language, text in blocks if language == "python"))
    pytester.runpytest_inprocess("-p", "actors.testing.plugin").assert_outcomes(passed=6)


def test_the_page_on_pytest_names_every_option() -> None:
    text = (PAGES / "howto-pytest.md").read_text()
    for option in OPTIONS:
        assert f"| `{option.flag}` | `{option.ini}` | `{option.variable}` |" in text
