"""A forked child inherits the descriptors, but not the memory behind them.

A container is bound to the address space that first registers (or enables, or creates a window)
through it. The child's calls are refused, yet its copies of the descriptors keep the container
alive: the device may go on using the parent's pages when the parent is long gone.
"""

import trio

from actors import KernelError, Machine, VFIO_SPAPR_TCE_v2_IOMMU, open_machine


async def main() -> None:
    async with open_machine() as machine:
        parent = await machine.spawn("qemu")
        ram = await parent.mmap(1 << 20)
        container = await parent.open_container()
        group = await parent.open_group(0)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        await container.map_dma(iova=0, vaddr=ram.start, size=64 << 10)

        child = await parent.fork("child")
        print("charged: parent", parent.locked_vm_pages, "pages, child", child.locked_vm_pages)
        try:
            await container.seen_by(child).unmap_dma(iova=0, size=64 << 10)
        except KernelError as refused:
            print("the child unmaps:", refused)

        await parent.exit()
        await show("the parent has exited", machine)
        print("  its mm is held by", *parent.mm_holders)

        await container.seen_by(child).close()
        await show("the child has closed the container", machine)  # the group is still in it

        await group.seen_by(child).close()  # the last group leaves: the driver lets go of everything
        await show("the child has closed the group", machine)
        print("  the parent is charged", parent.locked_vm_pages, "pages")


async def show(moment: str, machine: Machine) -> None:
    """Print what is pinned after a grace period, and whether the device still gets at it."""
    await machine.rcu_barrier()
    report = await machine.dma(group=0, iova=0, size=16, write=True)
    print(f"{moment}: {machine.memory.pinned_pages} pins, DMA: {report.fault or 'arrives'}")


trio.run(main)
