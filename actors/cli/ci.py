"""What a pipeline reads: ``--ci``, ``--markdown``, ``--junit`` and ``--sarif`` of several commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from actors.cli.outputs import OutputFile
from actors.program import not_written

if TYPE_CHECKING:
    from actors.report import Summary

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = Path(".tcemu") / "ci"
"""Where ``--ci`` writes, below the folder in which the command runs."""

FILES = {"markdown": "summary.md", "junit": "junit.xml", "sarif": "report.sarif"}
"""Format -> its file in the folder."""

OPTIONS = ("ci", *FILES)

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub says where the summary of a step goes."""


def output_options(command: F) -> F:
    """``--ci``, ``--markdown``, ``--junit``, ``--sarif``; pass them to :func:`write_outputs`."""
    help_of_all = f"Write all three into {FOLDER}, and the summary of the step where GitHub wants one."
    command = click.option("--ci", is_flag=True, help=help_of_all)(command)
    for name, text in (
        ("sarif", "SARIF 2.1.0"),
        ("junit", "JUnit XML"),
        ("markdown", "a summary in Markdown"),
    ):
        command = click.option(f"--{name}", metavar="FILE", type=OutputFile(), help=f"Write {text}.")(command)
    return command


def write_outputs(summary: Summary, ci: bool, **asked: str | None) -> None:
    """Write what was asked for.

    Args:
        summary: what to write.
        ci: whether to write everything.
        asked: format -> file.

    Raises:
        ProgramError: a file cannot be written.
    """
    from actors import report  # noqa: PLC0415 - only where it is asked for

    wanted = [(name, Path(file)) for name, file in asked.items() if file is not None]
    if ci:
        wanted += [(name, FOLDER / file) for name, file in FILES.items() if asked.get(name) is None]
    for name, path in wanted:
        write(path, getattr(report, name)(summary))
    if ci and os.environ.get(STEP_SUMMARY):
        write(Path(os.environ[STEP_SUMMARY]), report.markdown(summary), "a")


def write(path: Path, text: str, mode: str = "w") -> None:
    """Write a file, and the folders that it needs.

    Raises:
        ProgramError: it cannot be written.
    """
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise not_written(path, problem) from None


__all__ = ["OPTIONS", "output_options", "write_outputs"]
