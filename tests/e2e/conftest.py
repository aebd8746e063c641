"""The command as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHANGES_OUTPUT = {"FORCE_COLOR", "NO_COLOR", "TCEMU_TRACEBACK", "COLUMNS"}

Finished = subprocess.CompletedProcess[str]
Tcemu = Callable[..., Finished]


def environment(**changes: str) -> dict[str, str]:
    """The environment of the tests without what would change the output."""
    kept = {name: value for name, value in os.environ.items() if name not in CHANGES_OUTPUT}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path} | changes


@pytest.fixture
def tcemu(tmp_path: Path) -> Tcemu:
    """Runs a command line to its end, in an empty folder; keywords are environment variables."""

    def run(*args: object, **changes: str) -> Finished:
        command = [sys.executable, "-m", "actors.cli", *map(str, args)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(**changes),
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """Starts a command line; whatever still runs in the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*args: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-m", "actors.cli", *map(str, args)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of the recorded vectors."""
    return ROOT / "tests" / "conformance" / "vectors"
