"""Debugging a leak with a log: pages stay pinned after the process has gone. Who keeps them?

A log is a list of events, each with its cause. Three questions lead from the symptom to the
cause: what was not given back, who holds the thing that would give it back, and what made it so.
"""

import trio

from actors import Machine, VFIO_SPAPR_TCE_v2_IOMMU, open_machine
from actors.testing.capture import LogCapture, capture
from actors.trace.schema import Access, Request
from actors.trace.why import summary, why


async def story(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)
    await machine.cpus[1].run(qemu)
    await machine.cpus[1].run_kthread("kworker/1:0")
    await qemu.exit()
    await machine.rcu_barrier()


def explain(log: LogCapture) -> None:
    """From the pages to the one who keeps them."""
    pinned = log.events()[-1].pins
    print(f"pinned at the end: {pinned} pages")
    if not pinned:
        return
    put = log.caused(by="exit_group", kind=Access, object="region:0", write=True)
    print(f"changes of region:0 by exit_group: {len(put)}")
    for line in summary(why(log.log(), "mm:0.mm_count")):
        print(line)
    borrowed = log.of(Access, field="mm_count", holder="cpu:1")[0]
    print("which took its reference here:")
    for cause in log.chain(borrowed):
        if isinstance(cause, Request):
            print(f"  {cause.to:20} {cause.request}")


async def main() -> None:
    for kernel in ("v4.9", "v4.10"):
        print(f"-- kernel {kernel}")
        async with open_machine(kernel) as machine:
            with capture(machine) as log:
                await story(machine)
            explain(log)


trio.run(main)
