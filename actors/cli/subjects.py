"""What can be run under many orders: a built-in scenario or recorded client, a program file, a function."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from actors.check.invariants import INVARIANTS
from actors.cli import clients
from actors.cli.clients import Client
from actors.cli.exits import BadInput
from actors.cli.pipes import called, is_pipe, settled
from actors.explore.scenario import find_function
from actors.explore.scenarios import builtin, builtin_names, builtins
from actors.kernel.catalogue import find_kernel, find_piece, nearest
from actors.kernel.composition import UnknownPiece
from actors.machine import Scenario
from actors.program import Program, ProgramError, builtin_streams, load_program, load_stream
from actors.program.programs import VERDICTS

Subject = Program | Scenario | Client


def find_subject(name: str) -> Subject:
    """What a word of the command line means.

    Raises:
        ProgramError: a file that is malformed or not there.
        NoScenario: no such function.
        BadInput: no file and nothing built in of that name.
    """
    if ":" in name and not Path(name).exists():
        return find_function(name)
    if name.endswith(".jsonl"):
        load_stream(name)
        return Client(name)
    if is_pipe(name):
        return checked(called(name), load_program(settled(name)))
    if Path(name).is_file() or "/" in name or name.endswith(".json"):
        return checked(name, load_program(name))
    if name in builtin_streams():
        return Client(name)
    if name in builtin_names():
        return builtin(name)
    shown = demonstrations()
    if name in shown:
        return load_program(shown[name])
    known = [*builtin_names(), *builtin_streams(), *shown]
    raise BadInput(f"no file, scenario, defect or recorded client {name!r}{nearest(name, known)}")


def demonstrations() -> dict[str, Path]:
    """The small programs that show one defect each, by its slug."""
    folder = Path(str(files("actors.explore.scenarios"))) / "defects"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def checked(file: str, program: Program) -> Program:
    """The program, if all kernels, defects and invariants that it names exist.

    Raises:
        ProgramError: one does not; names the nearest.
    """
    lists = (("kernels", program.kernels), ("with", program.with_), ("without", program.without))
    named = [(f"{field}[{index}]", name) for field, names in lists for index, name in enumerate(names)]
    for place, name in [*named, *((f"expect.{kernel}", kernel) for kernel in program.expect)]:
        try:
            find_piece(name) if place.startswith("with") else find_kernel(name)
        except UnknownPiece as unknown:
            raise ProgramError(file, place, str(unknown)) from None
    for kernel, outcome in program.expect.items():
        if outcome not in VERDICTS and outcome not in INVARIANTS:
            message = f"no invariant {outcome!r}{nearest(outcome, INVARIANTS)}"
            raise ProgramError(file, f"expect.{kernel}", message)
    return program


def kernels_of(subject: Subject, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The kernels to run on: those asked for, else those that a program names, else ``fixed``.

    A program without a list names those for which it says what to expect.
    """
    if isinstance(subject, Client):
        return asked or clients.KERNELS
    named = subject.kernels or tuple(subject.expect) if isinstance(subject, Program) else ()
    return asked or named or ("fixed",)


def everything() -> list[Subject]:
    """All that is built in: the scenarios, then the recorded clients."""
    return [*builtins(), *clients.clients()]


__all__ = ["Subject", "demonstrations", "everything", "find_function", "find_subject", "kernels_of"]
