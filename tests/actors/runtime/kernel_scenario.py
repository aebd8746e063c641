"""A small scenario on a whole machine, for runs to be compared: run as a program it prints digests."""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Any

from actors.errors import KernelError
from actors.kernel.uapi import VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import Container, Machine, Process
from actors.program.values import MachineSpec
from actors.runtime.core import Core
from actors.runtime.stepping import Stepping
from tests.actors.runtime.lab import on_bare, trace

PAGE = 65536
SPEC = MachineSpec(groups=2, memory_bytes=64 << 20)


class Scenario:
    """Two threads of one process map and unmap in one container while another process dies.

    Attributes:
        answers: what each call returned, in order.
    """

    def __init__(self, core: Core) -> None:
        self.machine = Machine.boot(core, "fixed", SPEC)
        self.answers: list[tuple[str, Any]] = []
        core.spawn(self.machine.harness, self.main(), "main")

    def start(self, name: str, body: Any) -> None:
        self.machine.core.spawn(self.machine.harness, body, name)

    async def main(self) -> None:
        qemu, container, ram = await self.client("qemu", 0)
        dpdk, other, heap = await self.client("dpdk", 1)
        self.start("map", self.mapper(container, ram.start))
        self.start("register", self.registrar(qemu, container, ram))
        self.start("exit", self.dying(dpdk, other, heap.start))

    async def client(self, comm: str, index: int) -> tuple[Process, Container, Any]:
        machine = self.machine
        process = await machine.spawn(comm)
        ram = await process.mmap(4 * PAGE)
        container, group = await process.open_container(), await process.open_group(index)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        await machine.cpus[index].run(process)
        return process, container, ram

    async def note(self, name: str, call: Any) -> None:
        try:
            self.answers.append((name, await call))
        except KernelError as error:
            self.answers.append((name, str(error)))

    async def mapper(self, container: Container, start: int) -> None:
        await self.note("map", container.map_dma(0, start, 2 * PAGE))
        await self.note("unmap", container.unmap_dma(0, PAGE))

    async def registrar(self, qemu: Process, container: Container, ram: Any) -> None:
        await self.note("unregister", container.unregister_memory(ram))
        await self.note("register", container.register_memory(ram))

    async def dying(self, dpdk: Process, container: Container, start: int) -> None:
        await self.machine.cpus[1].run_kthread("kworker/1:0")
        await self.note("map", container.map_dma(0, start, PAGE))
        await dpdk.exit()
        await self.machine.rcu_barrier()

    def state(self) -> dict[str, Any]:
        """All that the end of a run can differ in."""
        actors: dict[str, Any] = self.machine.core.actors  # type: ignore[assignment]
        memory = self.machine.memory
        return {
            "answers": self.answers,
            "pins": sorted(memory.pins_by_holder.items()),
            "free": memory.free_bytes,
            "names": sorted(self.machine.core.names.items()),
            "mms": [
                (n, a.locked_vm.value, a.mm_count.holders, a.mm_users.holders, list(a.regions))
                for n, a in actors.items() if n.startswith("mm:")
            ],
            "cpus": [(n, a.running, a.active_mm.value) for n, a in actors.items() if n.startswith("cpu:")],
            "files": [(n, sorted(a.files)) for n, a in actors.items() if n.startswith("process:")],
        }  # fmt: skip


def digest(core: Stepping, scenario: Scenario) -> str:
    lines = [*trace(core), repr(scenario.state())]
    return sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    for seed in range(int(sys.argv[1])):
        print(digest(*on_bare(Scenario, seed)))
