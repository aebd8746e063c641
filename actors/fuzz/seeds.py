"""Programs to begin a campaign with, when one wants to: built-in scenarios, vectors, recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import structs

from actors.explore import scenarios
from actors.fuzz.generate import repaired
from actors.fuzz.generate.mutate import MOST_STEPS, MOST_THREADS
from actors.fuzz.generate.scene import Scene
from actors.program import OPS, Program, Step, ThreadSpec, load_program, load_programs

BUILTIN = "builtin"
"""Names the built-in scenarios and the programs that show the defects."""
MOST_SETUP = 40
"""Steps of a recording that are kept."""
LAST = 4
"""Steps of a program of one order that become its threads."""


def seed_programs(names: Iterable[str]) -> tuple[Program, ...]:
    """The programs of files, and the built-in ones, fit to be mutated.

    Raises:
        ProgramError: a file is malformed.
    """
    programs = [program for name in names for program in named(name)]
    return tuple(dict.fromkeys(fitted(program) for program in programs))


def named(name: str) -> Iterator[Program]:
    """The programs that one name stands for."""
    if name != BUILTIN:
        yield from load_programs(name)
        return
    for path in sorted(Path(scenarios.__file__).parent.rglob("*.json")):
        yield load_program(path)


def fitted(program: Program) -> Program:
    """A program without expectations, small, and with threads."""
    setup = tuple(bare(step) for step in program.setup if OPS[step.op].who != "stream")[:MOST_SETUP]
    threads = tuple(
        structs.replace(thread, steps=tuple(map(bare, thread.steps[:MOST_STEPS])))
        for thread in program.threads[:MOST_THREADS]
    )
    if not threads:
        setup, threads = parted(setup)
    return repaired(
        Program("seed", machine=program.machine, setup=setup, threads=threads, finally_=ends(program, setup))
    )


def bare(step: Step) -> Step:
    """A step that expects nothing."""
    return structs.replace(step, ret=None, errno=None, observed=None, call=None, thread=None)


def parted(setup: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[ThreadSpec, ...]]:
    """The last steps of one order as threads of two processes or of one."""
    last = [step for step in setup[-LAST:] if step.actor is not None]
    threads = tuple(
        ThreadSpec(f"t{number}", actor=step.actor, steps=(structs.replace(step, actor=None),))
        for number, step in enumerate(last)
    )
    return setup[: len(setup) - LAST], threads


def ends(program: Program, setup: tuple[Step, ...]) -> tuple[Step, ...]:
    """The end of a program; when it has none, everybody exits."""
    if program.finally_:
        return tuple(map(bare, program.finally_))
    scene = Scene(program.machine)
    for step in setup:
        scene.absorb(step, step.actor)
    return tuple(Step("exit", actor=actor) for actor in scene.processes)


__all__ = ["seed_programs"]
