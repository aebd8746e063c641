"""Whoever borrows an address space may keep it alive for hours.

A kernel thread has no memory of its own: it runs on the address space (mm) of whoever ran before
it on that CPU. Kernels up to 6.3 count such a lazy borrower as a holder of the mm. So as long as
registered pages were given back only with the mm, an idle CPU kept a whole guest's memory pinned.
That is what the patch "Put pages on VFIO container shutdown" is about; the next example has its
full story.
"""

import trio

from actors import Machine, Process, VFIO_SPAPR_TCE_v2_IOMMU, open_machine


async def story(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(64 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)

    await machine.cpus[1].run(qemu)  # cpu1's active mm is now qemu's,
    await machine.cpus[1].run_kthread("kworker/1:0")  # and this kernel thread borrows it
    await qemu.exit()
    await show("qemu has exited", machine, qemu)

    shell = await machine.spawn("sh")
    await machine.cpus[1].run(shell)  # the loan ends: cpu1 has another mm now
    await show("cpu1 runs a shell", machine, qemu)


async def show(moment: str, machine: Machine, qemu: Process) -> None:
    await machine.rcu_barrier()
    holders = ", ".join(qemu.mm_holders) or "nobody"
    print(f"{moment}: {machine.memory.pinned_pages} pages pinned, qemu's mm held by {holders}")


async def main() -> None:
    for kernel in ("v4.10-parent", "v4.10", "fixed"):
        print(f"-- kernel {kernel}")
        async with open_machine(kernel) as machine:
            await story(machine)


trio.run(main)
