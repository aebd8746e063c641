"""Pre-registered memory, and the EBUSY rule: a page stays pinned as long as a TCE points to it.

A version 2 container pins and charges memory once, by REGISTER_MEMORY. MAP_DMA then only writes
TCEs, and counts them for the region that they point into. UNREGISTER_MEMORY of a region in use is
refused. Linux 6.12 gets this rule wrong, and the last lines show what that costs.
"""

import trio

from actors import KernelError, Machine, VFIO_SPAPR_TCE_v2_IOMMU, open_machine

MIB = 1 << 20
SIZE = 4 << 10


async def story(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 * MIB)  # 16 kernel pages
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)

    await container.register_memory(ram)
    show("registered", machine)
    try:
        await container.register_memory(ram)
    except KernelError as refused:
        print("registered again:", refused)

    await container.map_dma(iova=0, vaddr=ram.start, size=SIZE)
    show("mapped", machine)  # no pin more: the region has pinned all of its pages already
    try:
        await container.unregister_memory(ram)
        print("unregistered while mapped: 0, as if all were well")
    except KernelError as refused:
        print("unregistered while mapped:", refused)

    await container.unmap_dma(iova=0, size=SIZE)
    try:
        await container.unregister_memory(ram)
        print("unregistered after the unmap: 0")
    except KernelError as refused:
        print("unregistered after the unmap:", refused)

    await qemu.exit()
    await machine.rcu_barrier()  # pins are dropped after a grace period
    show("exited", machine)


def show(moment: str, machine: Machine) -> None:
    print(f"{moment}: {machine.memory.pinned_pages} pins")


async def main() -> None:
    for kernel in ("fixed", "v6.12"):
        print(f"-- kernel {kernel}")
        async with open_machine(kernel) as machine:
            await story(machine)


trio.run(main)
