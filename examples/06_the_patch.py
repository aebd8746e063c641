"""The patch before and after, moment by moment.

The Linux commit "powerpc/mm/iommu, vfio/spapr: Put pages on VFIO container shutdown" was measured
on real kernels with two CPUs: 4.9.148 with the patch taken out, 4.9.148, and 6.12. A process on
cpu1 registers 64 MiB (1024 pages of 64 KiB), ends, and cpu1 goes idle. Here are the same moments.
Time does not pass in the emulator; what passes on a real machine is a grace period of RCU, within
100 ms, and after that nothing happens on an idle CPU, for a second or for an hour.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from actors import Machine, Process, VFIO_SPAPR_TCE_v2_IOMMU, open_machine

KERNELS = {"v4.9.148-preseed": "before the patch", "v4.9.148": "with the patch", "v6.12": "6.12"}
MIB = 1 << 20
Column = list[tuple[str, str]]


class Watch:
    """Notes, moment by moment, what is pinned and what that costs."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.free_before = machine.memory.free_bytes
        self.column: Column = []

    def look(self, moment: str) -> None:
        memory = self.machine.memory
        missing = self.free_before - memory.free_bytes
        self.column.append((moment, f"{memory.pinned_pages} pinned, {-missing // MIB} MiB"))

    async def look_after_the_end(self) -> None:
        """The moments after a process on cpu1 has ended."""
        cpu1 = self.machine.cpus[1]
        self.look("at once")
        await self.machine.rcu_barrier()
        self.look("after a grace period")
        await cpu1.idle()
        await self.machine.rcu_barrier()
        self.look("after long idling")
        await cpu1.run_kthread("kworker/1:0")
        await self.machine.rcu_barrier()
        self.look("a kernel thread ran on cpu1")
        await cpu1.run(await self.machine.spawn("sh"))
        await self.machine.rcu_barrier()
        self.look("a user task ran on cpu1")


async def start(machine: Machine, *, register: bool = True, map_bytes: int = 0) -> Process:
    """A process on cpu1 with 64 MiB, touched, and registered with VFIO unless told otherwise."""
    qemu = await machine.spawn("qemu")
    await machine.cpus[1].run(qemu)
    ram = await qemu.mmap(64 * MIB)
    await qemu.touch(ram)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    if register:
        await container.register_memory(ram)
    if map_bytes:
        await container.map_dma(iova=0, vaddr=ram.start, size=map_bytes)
    return qemu


async def ends(watch: Watch, *, killed: bool = True, register: bool = True, map_bytes: int = 0) -> None:
    qemu = await start(watch.machine, register=register, map_bytes=map_bytes)
    await (qemu.kill() if killed else qemu.exit())
    await watch.look_after_the_end()


async def child_holds(watch: Watch) -> None:
    qemu = await start(watch.machine)
    child = await qemu.fork("child")
    await child.execve("helper")  # its memory is its own now; the descriptors stay
    await qemu.exit()
    await watch.machine.cpus[1].run(child)
    await watch.machine.rcu_barrier()
    watch.look("the parent has exited")
    await child.exit()
    await watch.machine.rcu_barrier()
    watch.look("the child has exited")


STORIES: dict[str, Callable[[Watch], Awaitable[None]]] = {
    "64 MiB registered, killed": ends,
    "the same with 1 MiB mapped": partial(ends, map_bytes=1 * MIB),
    "the same with a clean exit": partial(ends, killed=False),
    "control: 64 MiB touched, but not registered": partial(ends, register=False),
    "the parent exits, a child holds the descriptors": child_holds,
}


async def tell(title: str, story: Callable[[Watch], Awaitable[None]]) -> None:
    """Play a story on all kernels and print them side by side."""
    columns: list[Column] = []
    for kernel in KERNELS:
        async with open_machine(kernel) as machine:
            watch = Watch(machine)
            await story(watch)
            columns.append(watch.column)
    print_row(title, *KERNELS.values())
    for rows in zip(*columns, strict=True):
        print_row("  " + rows[0][0], *(seen for _, seen in rows))
    print()


def print_row(first: str, *rest: str) -> None:
    print(f"{first:<50}" + "".join(f"{each:<23}" for each in rest).rstrip())


async def main() -> None:
    for title, story in STORIES.items():
        await tell(title, story)


trio.run(main)
