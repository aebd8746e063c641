"""What is quoted in the docs: commands with their output, examples with theirs."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import textwrap
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def listing(name: str) -> str:
    """The source of an example, without its docstring."""
    source = (ROOT / "examples" / f"{name}.py").read_text()
    return fenced("python", source.split('"""\n', 1)[1].lstrip())


def output(name: str) -> str:
    """The checked output of an example, as the command shows it."""
    shown = (ROOT / "examples" / f"{name}.out").read_text()
    return fenced("console", f"$ python examples/{name}.py\n{shown}")


DIGEST = re.compile(r"-[0-9a-f]{8}\.json")
"""The end of the name of a kept failure, which changes with the text of the kernel."""


def run(command: str) -> str:
    """A command and what it prints, digests in names of files left out."""
    return fenced("console", f"$ {command}\n{DIGEST.sub('-....json', printed(command))}")


def typed(command: str) -> str:
    """A command that is run and whose output is not quoted: it holds seconds, or is of no interest."""
    printed(command)
    return fenced("console", f"$ {command}")


@cache
def printed(command: str) -> str:
    """What a command prints on a pipe; ``tcemu`` and ``python`` are those of this interpreter."""
    words = shlex.split(command)
    starts = {"tcemu": [sys.executable, "-m", "actors.cli"], "python": [sys.executable]}
    done = subprocess.run(
        starts[words[0]] + words[1:],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        check=False,
    )
    return done.stdout + done.stderr


def fenced(language: str, text: str) -> str:
    """Text in a code block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def source(place: str) -> str:
    """The text of a function or class of the emulator: ``module:Class.method``."""
    module, _, name = place.partition(":")
    thing: Any = reduce(getattr, name.split("."), import_module(module))
    return fenced("python", textwrap.dedent(inspect.getsource(thing)))
