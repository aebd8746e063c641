"""The scenarios that come with the package: small concurrent programs, one file each."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from actors.program import Program, load_program


def scenario_files() -> dict[str, Path]:
    """The files by the name of their scenario, in alphabetical order."""
    folder = Path(str(resources.files("actors.explore.scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def builtin_scenarios() -> dict[str, Program]:
    """The scenarios by name, in alphabetical order.

    Raises:
        ProgramError: one of the files is malformed.
    """
    return {name: load_program(path) for name, path in scenario_files().items()}


__all__ = ["builtin_scenarios", "scenario_files"]
