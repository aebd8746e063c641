"""Debugging a race with a log: MAP_DMA crashes in one order of many. Which two accesses collide?

The order is found by a search, run again with everything recorded, and read from its end: what
crashed, in whose hands the object was before, and what the crashed thread had read by then.
"""

from contextlib import suppress

from actors import Machine, VFIO_SPAPR_TCE_v2_IOMMU, find_kernel
from actors.explore import explore, log_of
from actors.explore.explain import explained
from actors.trace.interleaving import lines
from actors.trace.query import chain
from actors.trace.schema import Oops, Request

PAGE = 64 << 10


async def scenario(machine: Machine) -> None:
    """One thread maps memory while another one takes its registration back."""
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(PAGE)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)

    async def map_dma() -> None:
        with suppress(OSError):  # it may be too late
            await container.map_dma(iova=0, vaddr=ram.start, size=4096)

    async def unregister() -> None:
        with suppress(OSError):  # it may be mapped
            await container.unregister_memory(ram)

    async with machine.threads() as threads:
        threads.start("mapper", map_dma())
        threads.start("owner", unregister())


kernel = find_kernel("fixed", ["lookup-uaf"])
report = explore(scenario, kernel, schedules=500)
print(f"{report.verdict} ({report.invariant}) in order {report.schedules_to_first_failure}")
print(report.message)

log = log_of(scenario, report.failure, kernel)
oops = next(event for event in log.events if isinstance(event, Oops))
print("\nThe thread that crashed was in:")
for cause in chain(log.events, oops):
    if isinstance(cause, Request):
        print(f"  {cause.to:12} {cause.request}")

explanation = explained(log, most=12)
print("\nWhat mattered before:")
for line in lines(explanation.table):
    print(line)
for fact in explanation.facts:
    print(fact)

print("\nWith the reference counted before it is used:", explore(scenario, "fixed", schedules=500).verdict)
