"""What a wrong order of teardown does: a device writes into memory that belongs to somebody else.

In Linux 4.9 a container did not hold the address space whose pages it maps. A parent registers and
maps memory, forks, and exits; the child has become another program, and still holds the
descriptors. With the parent's mm go its regions and their pins, whatever still points into them:
the TCEs stay, and so does the device's access. The pages are free, and soon somebody else's.
"""

import trio

from actors import Machine, VFIO_SPAPR_TCE_v2_IOMMU, open_machine

PAGE = 64 << 10
PAGES = 4


async def story(machine: Machine) -> None:
    parent = await machine.spawn("qemu")
    ram = await parent.mmap(PAGES * PAGE)
    container = await parent.open_container()
    group = await parent.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)
    await container.map_dma(iova=0, vaddr=ram.start, size=ram.size)
    child = await parent.fork("child")
    await child.execve("helper")  # new memory, but the descriptors stay open
    await device_writes(machine, "while the parent lives")

    await parent.exit()
    await machine.rcu_barrier()
    await device_writes(machine, "when it is gone")

    bank = await machine.spawn("bank")
    accounts = await bank.mmap(PAGES * PAGE)
    await bank.touch(accounts)
    await device_writes(machine, "when another process has come")


async def device_writes(machine: Machine, moment: str) -> None:
    """The device writes to each page that was mapped for it; whose memory is that now?"""
    report = await machine.dma(group=0, iova=0, size=PAGES * PAGE, write=True)
    first = report.hits[0]  # what it met on the first page
    owner = machine.name_of(first.owner) if first.owner else "nobody"
    print(f"{moment}: {report.completed >> 10} KiB written to memory of {owner}, {first.pins} pins on a page")


async def main() -> None:
    for kernel in ("v4.9", "fixed"):
        print(f"-- kernel {kernel}")
        async with open_machine(kernel) as machine:
            await story(machine)


trio.run(main)
