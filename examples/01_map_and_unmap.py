"""A device reaches memory that is mapped for it, and what is mapped stays where it is.

A version 1 container is the simplest client. ENABLE pays for the DMA window. MAP_DMA pins a page
and writes its address into the table through which the device sees memory (an entry is a TCE);
UNMAP_DMA empties the entry and drops the pin.
"""

import trio

from actors import READ, VFIO_SPAPR_TCE_IOMMU, WRITE, Machine, open_machine

PAGE = 4 << 10  # an IOMMU page of the default window: one TCE


async def main() -> None:
    # A machine lives as long as this block. Its kernel: today's, with every known defect mended.
    async with open_machine() as machine:
        qemu = await machine.spawn("qemu")
        ram = await qemu.mmap(64 << 10)

        # A group is what the hardware can isolate, here one device. A container holds groups.
        container = await qemu.open_container()
        group = await qemu.open_group(0)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_IOMMU)
        await container.enable()
        show("enabled", machine)

        await container.map_dma(iova=0, vaddr=ram.start, size=2 * PAGE, flags=READ | WRITE)
        show("two TCEs mapped", machine)

        await device_writes(machine, iova=PAGE)
        await container.unmap_dma(iova=0, size=2 * PAGE)
        show("unmapped", machine)

        await device_writes(machine, iova=PAGE)
        # 32768 kernel pages of 64 KiB for the 2 GiB window, and 128 for its table.
        print("charged:", qemu.locked_vm_pages, "kernel pages")
        await qemu.exit()  # closes what is open, and the kernel takes everything back
        print("charged after the exit:", qemu.locked_vm_pages)


async def device_writes(machine: Machine, iova: int) -> None:
    report = await machine.dma(group=0, iova=iova, size=16, write=True)
    print(f"  the device writes at {iova:#x}:", report.fault or f"{report.completed} bytes arrive")


def show(moment: str, machine: Machine) -> None:
    print(f"{moment}: {machine.memory.pinned_pages} pins")


trio.run(main)
