"""Everything in the README works as typed, and comes out as printed; ``...`` stands for anything."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README.read_text()) if README.exists() else []
CONSOLE = [text for kind, text in BLOCKS if kind == "console"]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def assert_same(wanted: str, found: str) -> None:
    """The output is the printed one."""
    assert doctest.OutputChecker().check_output(wanted, found, OPTIONS), found


def test_the_first_scenario(tmp_path: Path) -> None:
    ((_, code), (_, output)) = [block for block in BLOCKS if block[0] in ("python", "text")]
    script = tmp_path / "first.py"
    script.write_text(code)
    finished = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=env())
    assert_same(output, finished.stdout)


def env() -> dict[str, str]:
    """The environment of a command that finds the sources."""
    import os

    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.splitlines()[0].removeprefix("$ tcemu "))
def test_commands(block: str, tcemu: Any, tmp_path: Path) -> None:
    typed, _, wanted = block.partition("\n")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    args = [
        str(path.relative_to(tmp_path)) if "*" in word else word
        for word in typed.removeprefix("$ tcemu ").split()
        for path in (sorted(tmp_path.glob(word)) if "*" in word else [tmp_path])
    ]
    finished = tcemu(*args)
    assert finished.returncode in (0, 1), finished.stderr
    assert_same(wanted, finished.stdout)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
