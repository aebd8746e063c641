from __future__ import annotations

import random
from typing import Any

import pytest

from actors.explore import Prepared
from actors.explore.arena import Arena
from actors.machine import open_machine
from actors.program import parse_program
from actors.trace.jsonl import Log
from actors.trace.recorder import Recorder
from actors.trace.schema import FORMAT, VERSION, End, Header

PROGRAM = {
    "format": "tcemu-program",
    "version": 1,
    "name": "map-beside-unregister",
    "setup": [
        {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
        {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
        {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
        {"actor": 0, "op": "setiommu", "fd": "C0", "iommu_type": 7},
        {"actor": 0, "op": "mmap", "addr": "M0", "size": 1048576, "prot": "rw"},
        {"actor": 0, "op": "reg", "fd": "C0", "vaddr": "M0", "size": 1048576},
        {"actor": 0, "op": "create", "fd": "C0", "page_shift": 16, "window_size": "1G", "levels": 1},
    ],
    "threads": [
        {"name": "mapper", "actor": 0, "steps": [
            {"op": "map", "fd": "C0", "vaddr": "M0", "iova": 1 << 59, "size": "2P"}]},
        {"name": "other", "actor": 0, "steps": [{"op": "reg", "fd": "C0", "vaddr": "M0", "size": 1048576}]},
        {"name": "closer", "actor": 0, "steps": [
            {"op": "unreg", "fd": "C0", "vaddr": "M0", "size": 1048576}]},
    ],
}  # fmt: skip


class Dice:
    """A chooser that throws dice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def choose(self, label: str, options: int) -> int:
        return self.random.randrange(options)

    def pick(self, core: Any) -> Any:
        return self.random.choice(core.ready)


class Runs:
    """Runs of one program in random orders, recorded."""

    def __init__(self) -> None:
        self.prepared: dict[str, Prepared] = {}

    def log(self, seed: int, kernel: str = "v6.12") -> Log:
        if kernel not in self.prepared:
            self.prepared[kernel] = Prepared(parse_program(PROGRAM, "test"), kernel)
        recorder, core = Recorder(), Arena(Dice(seed))
        recorder.attach(core)
        result = self.prepared[kernel].run(core)
        header = Header(format=FORMAT, version=VERSION, kernel=kernel, name="test", seed=seed)
        end = End(step=len(recorder), verdict=result.verdict, message=result.message, steps=result.steps)
        return Log(header, recorder.events(), end)

    def unrecorded(self, seed: int, kernel: str = "v6.12") -> tuple[str, str, int]:
        result = self.prepared[kernel].run(Arena(Dice(seed)))
        return result.verdict, result.message, result.steps

    def all(self, count: int = 40) -> list[Log]:
        return [self.log(seed) for seed in range(count)]


@pytest.fixture(scope="session")
def runs() -> Runs:
    return Runs()


@pytest.fixture(scope="session")
def log(runs: Runs) -> Log:
    """A run in which both threads touch the region and one of them has to wait for a lock."""
    return next(log for log in runs.all() if any(type(event).__name__ == "Wait" for event in log.events))


@pytest.fixture
def life():
    """The life of a process that registers memory, maps and exits, told to an observer."""

    async def live(observer: Any, kernel: str = "fixed") -> None:
        async with open_machine(kernel=kernel, log=observer) as machine:
            qemu = await machine.spawn("qemu")
            ram = await qemu.mmap(1 << 20)
            container = await qemu.open_container()
            group = await qemu.open_group(0)
            await group.set_container(container)
            await container.set_iommu(7)
            await container.register_memory(ram)
            await container.map_dma(iova=0, vaddr=ram.start, size=1 << 16)
            await qemu.exit()
            await machine.rcu_barrier()

    return live
