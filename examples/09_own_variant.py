"""A variant of the kernel of your own: what if only the owner gave memory back?

Every change of the kernel, be it a known defect or an idea of yours, is a piece: a class with a
nested class for each part of the kernel that it changes. Here: when a container goes, its
registrations are put only if the process that closes it is the one they belong to. That sounds
reasonable, and the obvious test passes. Then the orders are searched.
"""

import trio

from actors import Group, Machine, Piece, Process, VFIO_SPAPR_TCE_v2_IOMMU, find_kernel, open_machine
from actors.explore import explore
from actors.kernel.container import Container
from actors.kernel.tce_container import TceContainer


class OwnerOnly(Piece):
    slug = "owner-only-release"
    title = "a container's registrations are put only by the process that owns them"

    class container(Container):
        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            if self.current.mm == mm:
                await super().tce_iommu_release_prereg(container, mm)


KERNEL = find_kernel("fixed").with_piece(OwnerOnly)


async def start(machine: Machine) -> tuple[Process, Group]:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)
    return qemu, group


async def obvious_test() -> None:
    async with open_machine(KERNEL) as machine:
        _, group = await start(machine)
        await group.close()
        await machine.rcu_barrier()
        print("obvious test:", machine.memory.pinned_pages, "pages pinned")


async def scenario(machine: Machine) -> None:
    """A parent and its child both hold the descriptors, and let go of them at the same time."""
    parent, group = await start(machine)
    child = await parent.fork("child")
    async with machine.threads() as threads:
        threads.start("child", child.exit())
        threads.start("parent", group.close())


trio.run(obvious_test)
for kernel in ("fixed", KERNEL):
    report = explore(scenario, kernel=kernel, strategy="dpor")
    told = "every order covered" if report.complete else f"{report.invariant}: {report.message}"
    print(f"search on {report.kernel}: {report.verdict}; {told}")
