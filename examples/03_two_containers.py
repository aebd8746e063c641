"""Two containers of one process share what they both register.

Regions belong to the address space: the second registration of the same range pins and charges
nothing, it is only counted. Each container lists what it registered itself, and can take back
nothing else.
"""

import trio

from actors import Container, KernelError, Machine, Process, VFIO_SPAPR_TCE_v2_IOMMU, open_machine


async def open_vfio(process: Process, index: int) -> Container:
    """A container with one group in it."""
    container = await process.open_container()
    group = await process.open_group(index)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    return container


async def main() -> None:
    async with open_machine(groups=2) as machine:
        qemu = await machine.spawn("qemu")
        ram, buffer = await qemu.mmap(1 << 20), await qemu.mmap(64 << 10)
        disk, network = await open_vfio(qemu, 0), await open_vfio(qemu, 1)

        await disk.register_memory(ram)
        await network.register_memory(buffer)
        await show("one registers ram, the other a buffer", machine, qemu)
        try:
            await network.unregister_memory(ram)
        except KernelError as refused:
            print("the other takes ram back:", refused)

        await network.register_memory(ram)
        await show("the other registers ram too", machine, qemu)

        # A TCE may point into any region of the address space, whoever registered it. The first
        # MAP_DMA also makes the container's default window, which costs 128 pages.
        await network.map_dma(iova=0, vaddr=ram.start, size=64 << 10)
        await disk.unregister_memory(ram)
        await show("the other maps ram, the first takes it back", machine, qemu)

        await network.unmap_dma(iova=0, size=64 << 10)
        await network.unregister_memory(ram)
        await show("the other takes it back", machine, qemu)


async def show(moment: str, machine: Machine, process: Process) -> None:
    await machine.rcu_barrier()  # the pins of a region that died go after a grace period
    print(f"{moment}: {machine.memory.pinned_pages} pins, {process.locked_vm_pages} pages charged")


trio.run(main)
