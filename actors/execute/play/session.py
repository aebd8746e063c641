"""One machine and the recorded clients on it, driven call by call by one thread of control."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from random import Random
from typing import Any, TypeVar

from msgspec import structs

from actors.execute.play.calls import Chunk
from actors.execute.play.client import ClientExecution
from actors.execute.play.memory import memory_of, shared_memory
from actors.execute.play.remains import Remains, remains
from actors.execute.steps import Outcome
from actors.kernel.composition import Kernel
from actors.kernel.messages import ExitGroup, Kill, RunOn
from actors.machine import Machine, MachineObserver
from actors.program import FrozenDict, MachineSpec, Stream
from actors.runtime.bare import BareRuntime
from actors.runtime.core import Chooser, Core
from actors.runtime.errors import TaskKilled
from actors.runtime.thread import Thread

T = TypeVar("T")

SEGMENT_BUDGET = 1_000_000
"""Visits to actors that one chunk of calls may make before it counts as endless."""


class PlayRuntime(BareRuntime):
    """The bare loop for one thread of control.

    Nobody else could go on at a point, so points are no decisions and cost nothing, as on a free machine.
    """

    def __init__(self, chooser: Chooser | None = None) -> None:
        super().__init__(chooser, SEGMENT_BUDGET)
        self.controlled = False

    def run(self, until: Thread | None = None) -> None:
        """Run the one thread that there is, from actor to actor, until it has ended.

        Raises:
            Deadlock: it waits for what nobody will give.
            Livelock: it goes from actor to actor for ever.
        """
        ready, segment = self.ready, self.segment
        for _ in range(self.budget):
            if not ready or (until is not None and until.finished):
                break
            segment(ready[0])
        else:
            raise self.livelock(self.current)
        if not self.complete(until):
            raise self.stuck()


class Drawn:
    """The chooser that draws every decision; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def choose(self, label: str, options: int) -> int:
        """Draw one of ``0 .. options - 1``."""
        return self.random.randrange(options)

    def pick(self, core: Core) -> Thread:
        """Draw one of the threads that can go on."""
        return core.ready[self.random.randrange(len(core.ready))]


def machine_for(streams: Sequence[Stream], cpus: int, share: str = "") -> MachineSpec:
    """The machine that all the streams fit on, each with groups of its own unless they share them.

    Raises:
        ValueError: they want kernels of different page sizes.
    """
    specs = [stream.program.machine for stream in streams]
    if len({spec.page_size for spec in specs}) > 1:
        sizes = ", ".join(f"{stream.program.name} {stream.program.machine.page_size}" for stream in streams)
        raise ValueError(f"page_size: one machine has one, but the streams have {sizes}")
    pools: dict[str, int] = {}
    for spec in specs:
        pools |= {size: max(count, pools.get(size, 0)) for size, count in spec.hugepages.items()}
    return structs.replace(
        specs[0],
        groups=(max if share == "groups" else sum)(spec.groups for spec in specs),
        cpus=cpus,
        hugepages=FrozenDict(pools),
    )


class Session:
    """A machine, the clients on it, and what can be done to them.

    Attributes:
        core: the runtime.
        machine: the machine.
        execution: which client is which process, and which object which descriptor.
        bystanders: address spaces of processes that are no clients.
    """

    def __init__(self, core: PlayRuntime, machine: Machine) -> None:
        self.core = core
        self.machine = machine
        self.execution = ClientExecution(machine)
        self.bystanders: list[str] = []

    @classmethod
    def boot(
        cls,
        streams: Sequence[Stream],
        kernel: Kernel | str,
        cpus: int = 2,
        chooser: Chooser | None = None,
        log: MachineObserver | None = None,
        share: str = "",
    ) -> Session:
        """Boot the machine that the streams want, with a process for each of their clients.

        ``log`` is told of all that happens from then on. ``share`` is what clients have in common:
        ``groups``, ``mm``, or nothing.

        Raises:
            UnknownPiece: no kernel of that name.
            ValueError: the streams do not fit on one machine.
        """
        core = PlayRuntime(chooser)
        session = cls(core, Machine.boot(core, kernel, machine_for(streams, cpus, share)))
        if log is not None:
            log.open(session.machine)
        session.admit_all(streams, share)
        return session

    def admit_all(self, streams: Sequence[Stream], share: str) -> None:
        """Start the clients, with what they share and what each has of its own.

        Raises:
            ValueError: they do not fit in one address space.
        """
        base = 0
        for actor, stream in enumerate(streams):
            groups = tuple(range(base, base + stream.program.machine.groups))
            base += 0 if share == "groups" else len(groups)
            mm_of = 0 if share == "mm" and actor else None
            memory = memory_of(stream) if share != "mm" else [] if actor else shared_memory(streams)
            self.run(self.execution.admit(actor, stream.program.name, groups, memory, mm_of))

    def copy(self, chooser: Chooser | None = None) -> Session:
        """Return a copy that goes its own way. Context: the machine is at rest."""
        core = PlayRuntime(chooser)
        copy = Session(core, Machine.restore(core, self.machine.snapshot()))
        copy.execution.take_over(self.execution)
        copy.bystanders = list(self.bystanders)
        return copy

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        """Run ``body`` as the only thread of the machine.

        Raises:
            KernelOops, Deadlock, Livelock: how the modelled kernel failed in it.
        """
        thread = self.core.spawn(self.machine.harness, body, "client")
        self.core.run(thread)
        result: T = self.core.result(thread)
        return result

    def make(self, chunk: Chunk, actor: int = 0) -> Sequence[Outcome]:
        """Make the calls of a chunk as a client."""
        return self.run(self.execution.calls(chunk.step, actor, chunk.first, chunk.calls))

    # -- the end -------------------------------------------------------------------------------

    def borrow(self, cpus: Iterable[int], actor: int = 0) -> None:
        """Let each CPU run the client and then a kernel thread, which borrows the client's mm."""
        for cpu in cpus:
            name = self.machine.world.cpus[cpu]
            self.run(self.machine.request(self.execution.processes[actor], RunOn(name)))
            kworker = self.machine.world.kthread(f"kworker/{cpu}:0")
            self.run(self.machine.request(kworker, RunOn(name)))

    def exit(self, actor: int = 0) -> None:
        """The client's process exits; what it has open is closed."""
        self.run(self._exit(actor))

    async def _exit(self, actor: int) -> None:
        try:
            await self.execution.call(actor, ExitGroup())
        except TaskKilled:
            return

    def kill(self, actor: int = 0) -> None:
        """SIGKILL to the client; what it has open is closed in an order of choice."""
        self.run(self.machine.request(self.execution.processes[actor], Kill()))

    def settle(self) -> None:
        """Let every grace period end."""
        self.run(self.machine.rcu_barrier())

    def switch_away(self, cpus: Iterable[int]) -> None:
        """Let another process run on each CPU, so that nobody borrows a client's mm any more."""
        for cpu in cpus:
            self.run(self._run_other(cpu))

    async def _run_other(self, cpu: int) -> None:
        other = await self.machine.spawn("sh")
        process: Any = self.core.actors[other.id]
        self.bystanders.append(process.mm)
        await self.machine.cpus[cpu].run(other)

    def remains(self) -> Remains:
        """What is left on the machine."""
        return remains(self.machine, self.bystanders)
