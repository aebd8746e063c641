"""The machine: a booted kernel, its hardware, and what one can ask of it from outside.

Everything here is asynchronous and works the same under every runtime: called from the user's own
trio tasks on a free machine, or from a scenario whose order is explored.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from actors.kernel import messages as m
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Kernel
from actors.kernel.failpoints import FAILPOINTS
from actors.kernel.globals import KernelGlobals
from actors.machine.arguments import bad, expect_below, expect_unsigned
from actors.machine.process import CpuHandle, Process
from actors.machine.threads import Threads
from actors.program.values import MachineSpec
from actors.runtime import copies
from actors.runtime.actor import Actor
from actors.runtime.copies import Snapshot
from actors.runtime.core import Core
from actors.runtime.errors import BadArgument, EmulatorError
from actors.runtime.explain import Explanation, explain
from actors.runtime.free import FreeRuntime
from actors.runtime.messages import Request
from hw import DmaReport, PhysicalMemory

R = TypeVar("R")


class Waiting(NamedTuple):
    """Somebody who does not get on.

    Attributes:
        thread: who.
        object: the lock or the completion waited for.
        holders: who holds it, ``(dead)`` behind those that have crashed.
    """

    thread: str
    object: str
    holders: str


class NoCpu(BadArgument, IndexError):
    """The machine has no CPU of that number."""


class Cpus(list[CpuHandle]):
    """The CPUs of a machine, by number."""

    def __getitem__(self, index: Any) -> Any:
        """One of them, or a slice.

        Raises:
            NoCpu: there is none of that number; says how many there are.
        """
        try:
            return super().__getitem__(index)
        except IndexError:
            raise NoCpu(f"cpus[{index}]: the machine has {len(self)}") from None


class Harness(Actor):
    """The world outside the machine: scenarios run in it."""

    kind = "machine"


class Machine:
    """A booted machine.

    Attributes:
        core: the runtime it runs on.
        world: its kernel.
        spec: what it is made of.
        cpus: its CPUs.
        armed: failure points that are to fail, each with the arrivals left until they do.
        on_reply: told of each request from outside that was answered, with target, request and reply.
    """

    def __init__(self, core: Core, world: KernelGlobals, spec: MachineSpec, harness: Harness) -> None:
        self.core = core
        self.world = world
        self.spec = spec
        self.harness = harness
        self.cpus: list[CpuHandle] = Cpus(CpuHandle(self, name) for name in world.cpus)
        self.on_reply: Callable[[str, Request[Any], Any], None] | None = None
        self.armed: dict[str, list[int]] = {}

    @classmethod
    def boot(cls, core: Core, kernel: Kernel | str = "fixed", spec: MachineSpec | None = None) -> Machine:
        """Boot a kernel on a new machine that runs on ``core``.

        Raises:
            UnknownPiece: no kernel of that name.
        """
        spec = spec or MachineSpec()
        chosen = find_kernel(kernel) if isinstance(kernel, str) else kernel
        harness = Harness(core, "machine")
        world = KernelGlobals(core, chosen, spec)
        return cls(core, world, spec, harness)

    @property
    def memory(self) -> PhysicalMemory:
        """The RAM, with ``pinned_pages`` and who pins what."""
        return self.world.memory

    @property
    def page_size(self) -> int:
        """Bytes of a kernel page."""
        return self.memory.page_size

    def request(self, target: str, request: Request[R]) -> Coroutine[Any, Any, R]:
        """Send a request to an actor from outside and return the reply."""
        answer = self.core.request(self.harness, target, request)
        return answer if self.on_reply is None else self._told(target, request, answer)

    async def _told(self, target: str, request: Request[R], answer: Coroutine[Any, Any, R]) -> R:
        """Tell whoever listens of a request that was answered."""
        reply = await answer
        if self.on_reply is not None:
            self.on_reply(target, request, reply)
        return reply

    async def spawn(self, comm: str) -> Process:
        """Start a process with an empty address space, root's capabilities and no limit."""
        process = self.world.kernel.process(self.world, comm)
        return Process(self, process.id, comm)

    def threads(self) -> Threads:
        """Concurrent threads: ``async with machine.threads() as threads: threads.start(name, body)``."""
        return Threads(self)

    async def rcu_barrier(self) -> None:
        """Wait until every pending RCU callback has run: the end of all current grace periods."""
        await self.request(self.world.rcu.id, m.RcuBarrier())

    async def dma(self, group: int, iova: int, size: int, write: bool = False) -> DmaReport:
        """Let the device of a group read or write ``size`` bytes at a bus address."""
        expect_below("dma", len(self.world.group_ids), "group", group=group)
        expect_unsigned("dma", iova=iova, size=size)
        report: DmaReport = await self.request(self.world.group_ids[group], m.DeviceDma(iova, size, write))
        return report

    # -- faults, and a look inside -------------------------------------------------------------

    def fail(self, failpoint: str, nth: int = 1) -> None:
        """Make a failure point fail once: the ``nth`` time that it is reached from now on, from 1.

        Raises:
            BadArgument: there is no such failure point, or ``nth`` is below 1.
        """
        if failpoint not in FAILPOINTS:
            raise BadArgument(f"fail: no failure point {failpoint!r}{nearest(str(failpoint), FAILPOINTS)}")
        if not isinstance(nth, int) or nth < 1:
            raise bad("fail", "nth", nth, "a number from 1 on")
        self.armed.setdefault(failpoint, []).append(nth)
        self.core.faults = self._fails

    def _fails(self, failpoint: str) -> bool:
        """Count one arrival at a failure point; whether it fails this time."""
        left = [count - 1 for count in self.armed.pop(failpoint, [])]
        if any(left):
            self.armed[failpoint] = [count for count in left if count]
        if not self.armed:
            self.core.faults = None
        return 0 in left

    async def stuck(self) -> tuple[Waiting, ...]:
        """Wait until nobody can get on any more, and say who waits for whom; nobody on a healthy machine."""
        if isinstance(self.core, FreeRuntime):
            from trio.testing import wait_all_tasks_blocked  # noqa: PLC0415 - rarely asked for

            await wait_all_tasks_blocked()
        return tuple(Waiting(*each) for each in self.core.stuck().waits)

    def explain(self) -> Explanation:
        """Say how things stand right now: who is where, who waits for what, who holds it; print it."""
        return explain(self.core)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The kernel's warnings so far, each with the function that gave it."""
        return tuple(f"{message} ({place})" for message, place in self.world.warnings)

    def name_of(self, actor: str) -> str:
        """The human name of an actor: ``qemu`` for the mm of qemu."""
        return self.core.actors[actor].name

    # -- copies --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a copy of the machine at rest, from which :meth:`restore` makes machines.

        The copy shares with the machine what never changes; neither notices the other.

        Raises:
            EmulatorError: a request or an RCU callback is in flight.
        """
        busy = [t.name for t in self.core.threads.values() if t is not self.core.current]
        busy += [callback.name for callback in self.world.rcu.callbacks]
        if busy:
            raise EmulatorError(f"only a machine at rest can be copied; busy: {', '.join(busy)}")
        core = self.core
        state = (core.names, core.thread_count, core.actors, self.world, self.spec, self.harness)
        return copies.snapshot(state, (Kernel, MachineSpec))

    @classmethod
    def restore(cls, core: Core, snapshot: Snapshot) -> Machine:
        """Make a machine from a copy; it runs on ``core``."""
        names, thread_count, actors, world, spec, harness = copies.restore(core, snapshot)
        core.names.update(names)
        core.thread_count = max(core.thread_count, thread_count)
        for actor in actors.values():
            core.register(actor)
        return cls(core, world, spec, harness)


Scenario = Callable[[Machine], Coroutine[Any, Any, Any]]
"""An async function of a machine."""
