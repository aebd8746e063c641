"""SIGKILL at every point of a process's life, as one thread more: each order has the kill somewhere else."""

from __future__ import annotations

from msgspec import structs

from actors.program import Program, Step, ThreadSpec

KILLER = "kill"


def processes_of(program: Program) -> tuple[int, ...]:
    """The processes that a program has: the first, and those that steps create."""
    steps = [*program.setup, *(step for thread in program.threads for step in thread.steps)]
    return (0, *sorted({step.new_actor for step in steps if step.new_actor is not None}))


def with_kill(program: Program, process: int) -> Program:
    """The program with a thread that kills a process at whatever point the order says.

    What the threads' steps should return is not expected any more: a kill may change any answer.
    """
    taken = {thread.name for thread in program.threads}
    name = next(n for n in (KILLER, *(f"{KILLER}-{i}" for i in range(len(taken) + 1))) if n not in taken)
    killer = ThreadSpec(name=name, cpu=0, steps=(Step(op="abort", target=process),))
    threads = tuple(
        structs.replace(thread, steps=tuple(map(unexpecting, thread.steps))) for thread in program.threads
    )
    return structs.replace(
        program,
        name=f"{program.name}-kill-{process}",
        threads=(*threads, killer),
        finally_=tuple(map(unexpecting, program.finally_)),
    )


def unexpecting(step: Step) -> Step:
    """The step without what it should return."""
    return structs.replace(step, ret=None, errno=None)


__all__ = ["processes_of", "with_kill"]
