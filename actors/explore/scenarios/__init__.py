"""The built-in teardown scenarios: programs, one file each."""

from __future__ import annotations

from importlib.resources import files

from actors.program import Program, ProgramError, parse_program
from actors.program.files import decode


def builtin_names() -> tuple[str, ...]:
    """Names of all built-in scenarios, sorted."""
    entries = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in entries if name.endswith(".json")))


def builtin(name: str) -> Program:
    """Read a built-in scenario.

    Raises:
        ProgramError: there is none of that name.
    """
    if name not in builtin_names():
        raise ProgramError(name, "scenario", f"unknown, expected one of {', '.join(builtin_names())}")
    data = (files(__package__) / f"{name}.json").read_bytes()
    return parse_program(decode(data, name), name)


def builtins() -> tuple[Program, ...]:
    """All built-in scenarios, by name."""
    return tuple(builtin(name) for name in builtin_names())


__all__ = ["builtin", "builtin_names", "builtins"]
