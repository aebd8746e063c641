from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.untraced import Stripper

ROOT = Path(__file__).parents[2]


def test_what_asks_for_a_tracer_is_taken_out_and_nothing_else() -> None:
    source = "if self.core.tracing: told()\nelse: plain()\nif may:\n    if core.tracer: told()"
    stripper = Stripper()
    assert ast.unparse(stripper.visit(ast.parse(source))) == "plain()\nif may:\n    pass"
    assert stripper.count == 2


def test_both_processes_run_orders() -> None:
    for options in ([], ["--strip"]):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.untraced", *options],
            input="1\n1\n", capture_output=True, text=True, cwd=ROOT, check=True,
        )  # fmt: skip
        assert [float(line) > 0 for line in done.stdout.split()] == [True, True]
