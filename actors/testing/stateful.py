"""A Hypothesis state machine of the whole emulator, ready to be subclassed.

Every rule is a system call on a machine whose orders are calm, one after another; after each call the
oracles look, and in the end all processes exit and nothing may be left. A subclass adds rules of its
own, changes the kernel, or holds every answer against a model in :meth:`KernelMachine.answered`::

    from actors.testing.stateful import KernelMachine

    class Mine(KernelMachine):
        kernel = "v6.12"

    TestMine = Mine.TestCase
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from actors.check import Oracles
from actors.execute.steps import Execution, Outcome
from actors.explore.arena import Arena
from actors.explore.run import CALM, Run
from actors.explore.verdicts import OracleMaker
from actors.kernel import uapi
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.machine import Machine
from actors.program import Address, MachineSpec, Program, Step
from actors.testing.strategies import PAGE, REGION_PAGES, WINDOW_PAGES

Descriptor = tuple[int, str]
"""A process and the name of one of its descriptors."""

IOVA = st.integers(0, WINDOW_PAGES - 1).map(lambda page: Address(offset=page * PAGE))
SIZE = st.integers(1, WINDOW_PAGES // 2).map(lambda pages: Address(offset=pages * PAGE))
WHOLE = Address(pages=REGION_PAGES)


class KernelMachine(RuleBasedStateMachine):
    """Processes that open, attach, register, map, take back, fork and exit, one call after another.

    Attributes:
        kernel: what runs.
        spec: what the machine is made of.
        oracles: who looks; ``actors.linear.Linear()`` holds every answer against the sequential model too.
        most_processes: how many there may ever be.
    """

    kernel: ClassVar[Kernel | str] = "fixed"
    spec: ClassVar[MachineSpec] = MachineSpec(groups=2)
    oracles: ClassVar[OracleMaker] = Oracles
    most_processes: ClassVar[int] = 4

    processes = Bundle("processes")
    containers = Bundle("containers")
    groups = Bundle("groups")
    regions = Bundle("regions")

    def __init__(self) -> None:
        super().__init__()
        self.core = Arena(CALM)
        kernel = find_kernel(self.kernel) if isinstance(self.kernel, str) else self.kernel
        self.machine = Machine.boot(self.core, kernel, self.spec)
        self.execution = Execution(self.machine)
        idle = tuple(Step("run", cpu=cpu, task="idle") for cpu in range(self.spec.cpus))
        whole = Program(type(self).__name__, machine=self.spec, finally_=idle)
        self.run = Run(self.core, self.machine, self.execution, whole, type(self).oracles)
        self.names = 0

    def do(self, op: str, actor: int | None = None, **fields: Any) -> Outcome:
        """Carry one operation out, with all that follows from it.

        Raises:
            Failed, KernelOops, Deadlock: an invariant is broken; Hypothesis shortens the way there.
        """
        step = Step(op, actor=actor, **fields)
        outcome: Outcome = self.run.alone(self.execution.step(step))
        self.core.run()
        self.answered(step, outcome)
        return outcome

    def answered(self, step: Step, outcome: Outcome) -> None:
        """An operation has been answered; a subclass holds the answer against its model."""

    def name(self, kind: str) -> str:
        """A name that nothing has yet."""
        self.names += 1
        return f"{kind}{self.names}"

    # -- processes -----------------------------------------------------------------------------

    @initialize(target=processes)
    def boot(self) -> int:
        """The first process."""
        self.run.alone(self.execution.start(0))
        return 0

    @rule(target=processes, parent=processes, share_mm=st.booleans())
    def fork(self, parent: int, share_mm: bool) -> Any:
        """A child, with a copy of the address space or the same."""
        new = len(self.execution.processes)
        if new >= self.most_processes:
            return multiple()
        outcome = self.do("clonevm" if share_mm else "fork", parent, new_actor=new)
        return multiple() if outcome.ret is None else new

    @rule(process=processes)
    def exit(self, process: int) -> None:
        """The end of a process, by itself."""
        self.do("exit", process)

    @rule(cpu=st.integers(0, 1), process=processes, then=st.sampled_from(("kthread:kworker", "idle")))
    def borrow(self, cpu: int, process: int, then: str) -> None:
        """A CPU runs a process, then something that borrows its mm."""
        self.do("run", cpu=cpu, task=f"actor:{process}")
        self.do("run", cpu=cpu, task=then)

    # -- descriptors ---------------------------------------------------------------------------

    @rule(target=containers, process=processes)
    def open_container(self, process: int) -> Descriptor:
        """A container."""
        name = self.name("C")
        self.do("open", process, path="/dev/vfio/vfio", fd=name)
        return process, name

    @rule(target=containers, process=processes, index=st.integers(0, 1))
    def guest(self, process: int, index: int) -> Descriptor:
        """A container with a group in it, as most clients begin."""
        container, group = (process, self.name("C")), (process, self.name("G"))
        self.do("open", process, path="/dev/vfio/vfio", fd=container[1])
        self.do("open", process, path="/dev/vfio/<group>", fd=group[1], group_index=index)
        self.attach(group, container)
        return container

    @rule(target=groups, process=processes, index=st.integers(0, 1))
    def open_group(self, process: int, index: int) -> Descriptor:
        """A group; busy while anybody has it open."""
        name = self.name("G")
        self.do("open", process, path="/dev/vfio/<group>", fd=name, group_index=index)
        return process, name

    @rule(group=groups, container=containers)
    def attach(self, group: Descriptor, container: Descriptor) -> None:
        """SET_CONTAINER and SET_IOMMU, by the process that has the group."""
        self.do("setcont", group[0], fd=group[1], container=container[1])
        self.do("setiommu", group[0], fd=container[1], iommu_type=uapi.VFIO_SPAPR_TCE_v2_IOMMU)

    @rule(group=groups)
    def detach(self, group: Descriptor) -> None:
        """UNSET_CONTAINER."""
        self.do("unsetcont", group[0], fd=group[1])

    @rule(descriptor=st.one_of(containers, groups))
    def close(self, descriptor: Descriptor) -> None:
        """The end of a descriptor."""
        self.do("close", descriptor[0], fd=descriptor[1])

    # -- memory --------------------------------------------------------------------------------

    @rule(target=regions, process=processes)
    def mmap(self, process: int) -> Descriptor:
        """A few pages of memory."""
        name = self.name("M")
        self.do("mmap", process, addr=Address(name), size=WHOLE, prot="rw")
        return process, name

    @rule(target=regions, container=containers)
    def registered(self, container: Descriptor) -> Descriptor:
        """A few pages of memory, registered."""
        region = container[0], self.name("M")
        self.do("mmap", region[0], addr=Address(region[1]), size=WHOLE, prot="rw")
        self.register(container, region)
        return region

    @rule(region=regions)
    def munmap(self, region: Descriptor) -> None:
        """The end of a range of memory, registered or not."""
        self.do("munmap", region[0], addr=Address(region[1]), size=WHOLE)

    @rule(container=containers, region=regions)
    def register(self, container: Descriptor, region: Descriptor) -> None:
        """REGISTER_MEMORY."""
        self.do("reg", container[0], fd=container[1], vaddr=Address(region[1]), size=WHOLE)

    @rule(container=containers, region=regions)
    def unregister(self, container: Descriptor, region: Descriptor) -> None:
        """UNREGISTER_MEMORY."""
        self.do("unreg", container[0], fd=container[1], vaddr=Address(region[1]), size=WHOLE)

    @rule(container=containers, region=regions, iova=IOVA, size=SIZE)
    def map(self, container: Descriptor, region: Descriptor, iova: Address, size: Address) -> None:
        """MAP_DMA."""
        self.do("map", container[0], fd=container[1], vaddr=Address(region[1]), iova=iova, size=size)

    @rule(container=containers, iova=IOVA, size=SIZE)
    def unmap(self, container: Descriptor, iova: Address, size: Address) -> None:
        """UNMAP_DMA."""
        self.do("unmap", container[0], fd=container[1], iova=iova, size=size)

    # -- the end -------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everybody exits; nothing may be left, neither before the CPUs go idle nor after.

        Raises:
            Failed: something is.
        """
        try:
            for actor in list(self.execution.processes):
                self.do("exit", actor)
            self.run.conclude()
        finally:
            self.run.abandon()


__all__ = ["KernelMachine"]
