"""What a user waits for: the command line, conformance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.harness import Pairs, at_most, figure, seconds

ROOT = Path(__file__).parents[2]
VECTORS = sorted((ROOT / "tests/conformance/vectors").glob("linux-6.12-*.json"))


def command(*words: str) -> float:
    """Seconds that a command takes; it must succeed."""

    def run() -> None:
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    return seconds(run)


@figure("tcemu --help", "s", "python -c pass", at_most(0.3, "value"))
def help_time() -> Pairs:
    for _ in range(9):
        yield command("-m", "actors.cli", "--help"), command("-c", "pass")


@figure("tcemu conform, all recordings of Linux 6.12", "s", target=at_most(60, "value"))
def conform_time() -> Pairs:
    yield command("-m", "actors.cli", "conform", *map(str, VECTORS)), None
