"""Failure points: what happens when the kernel cannot get memory at a certain place.

Every allocation, pin, charge, copy and firmware call of the kernel text has a name, and can be made
to fail. The patch as it was first written did not check one allocation, that of the list element in
REGISTER_MEMORY. The task that runs into it dies with the container's locks held: its pages stay
pinned, and whoever needs a lock next waits for ever.
"""

import trio

from actors import Group, KernelError, KernelOops, Machine, VFIO_SPAPR_TCE_v2_IOMMU, open_machine


async def story(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    manager = await qemu.fork("manager")  # has the descriptors, too

    machine.fail("tce_iommu_register_pages.kzalloc")
    try:
        await container.register_memory(ram)
    except KernelError as refused:
        print("REGISTER_MEMORY:", refused)
    except KernelOops as oops:
        print("REGISTER_MEMORY: oops,", oops)
    await machine.rcu_barrier()
    print("pages pinned:", machine.memory.pinned_pages)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(unset, "manager", group.seen_by(manager))
        for waiting in await machine.stuck():
            print(f"{waiting.thread} waits for {waiting.object}, held by {waiting.holders}")
        nursery.cancel_scope.cancel()


async def unset(name: str, group: Group) -> None:
    await group.unset_container()
    print(f"{name}: UNSET_CONTAINER returned")


async def main() -> None:
    for kernel in ("v4.10-seed", "fixed"):
        print(f"-- kernel {kernel}")
        async with open_machine(kernel) as machine:
            await story(machine)


trio.run(main)
