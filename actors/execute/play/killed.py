"""A client that is killed at some point of its life, as a program whose teardown orders can be searched.

The setup plays the recorded calls up to the kill; then SIGKILL, and the call that the client was about to
make, run concurrently; at last the CPUs that still borrow the client's mm switch to another process.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from actors.execute.play.calls import Chunk, Cursor
from actors.execute.play.memory import memory_of
from actors.execute.play.run import check, composed
from actors.execute.play.session import PlayRuntime, Session
from actors.kernel.composition import Kernel
from actors.kernel.messages import Mmap
from actors.machine import Machine
from actors.program import Address, Program, Step, Stream, ThreadSpec, expand

CLIENT, OTHER = 0, 1
"""The actors: the recorded client, and a process that CPUs switch to in the end."""

UNPLAYABLE = ("release", "device", "pread", "pwrite", "irq", "freeze", "dma_read", "dma_write")
"""Operations of streams that a program's thread does not have."""


def killed_client(
    stream: Stream, calls: int, borrow: Sequence[int] = (1,), in_flight: bool = True
) -> Program:
    """Return the program of a client that is killed after ``calls`` of its calls.

    Args:
        stream: the recorded client.
        calls: how many of its calls have been made.
        borrow: CPUs on which kernel threads borrow the client's mm at the kill.
        in_flight: whether the next call that a thread can make runs concurrently with the kill.

    Raises:
        ValueError: ``calls`` is behind the end of the stream, or a CPU is below 0.
    """
    check(stream, calls, borrow)
    cursor = Cursor(stream.program.setup)
    done = [row for chunk in cursor.until(calls) for row in rows(chunk)]
    spec = stream.program.machine
    killer = ThreadSpec(name="kill", cpu=0, steps=(Step(op="abort", target=CLIENT),))
    return Program(
        name=f"{stream.program.name}-killed-at-{calls}",
        about=f"{stream.program.name}, killed after {calls} calls",
        machine=structs.replace(spec, cpus=max([spec.cpus, *(cpu + 1 for cpu in borrow)])),
        setup=(
            Step(op="fork", actor=CLIENT, new_actor=OTHER),
            *(mapped(mapping) for mapping in memory_of(stream)),
            *done,
            *(step for cpu in borrow for step in borrowing(cpu)),
        ),
        threads=(killer, *next_call(cursor)) if in_flight else (killer,),
        finally_=tuple(Step(op="run", cpu=cpu, task=f"actor:{OTHER}") for cpu in borrow),
    )


def rows(chunk: Chunk) -> Sequence[Step]:
    """A chunk as rows of its own; the rest of a row begins where the row would be by then."""
    if chunk.step.repeat == 1:
        return (chunk.step,)
    steps = expand(structs.replace(chunk.step, repeat=chunk.first + 1))
    *_, first = steps
    stride = chunk.step.stride if chunk.calls > 1 else None
    return (structs.replace(first, repeat=chunk.calls, stride=stride),)


def mapped(mapping: Mmap) -> Step:
    """The step that makes a mapping of the client."""
    huge = ("huge",) if mapping.shift > 16 else ()
    return Step(
        op="mmap",
        actor=CLIENT,
        addr=Address(None, mapping.addr),
        size=Address(None, mapping.size),
        prot="rw",
        mmap_flags=huge,
        hshift=mapping.shift if huge else None,
    )


def borrowing(cpu: int) -> tuple[Step, Step]:
    """A CPU runs the client and then a kernel thread."""
    tasks = f"actor:{CLIENT}", f"kthread:kworker/{cpu}:0"
    return Step(op="run", cpu=cpu, task=tasks[0]), Step(op="run", cpu=cpu, task=tasks[1])


def next_call(cursor: Cursor) -> tuple[ThreadSpec, ...]:
    """The thread that makes the next call after a place; none when no more can be made."""
    while (chunk := cursor.take(1)) is not None:
        if chunk.step.op not in UNPLAYABLE:
            step = structs.replace(rows(chunk)[0], observed=None, call=None, thread=None, stride=None)
            return (ThreadSpec(name="client", actor=CLIENT, steps=(step,)),)
    return ()


def play_setup(program: Program, kernel: Kernel | str = "fixed") -> Session:
    """Play the setup of a program fast, rows of streams included, and let the machine come to rest.

    Returns:
        The machine, and in ``execution`` what the program's actors and names stand for: from
        ``machine.snapshot()`` many endings can be explored.

    Raises:
        UnknownPiece: no kernel of that name.
        KernelOops, Deadlock, Livelock: how the modelled kernel failed in the setup.
    """
    core = PlayRuntime()
    session = Session(core, Machine.boot(core, composed(kernel), program.machine))
    session.run(session.execution.start())
    for chunk in Cursor(program.setup).until(None):
        session.make(chunk, CLIENT if chunk.step.actor is None else chunk.step.actor)
    session.settle()
    return session
