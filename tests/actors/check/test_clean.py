from __future__ import annotations

from pathlib import Path

import pytest

from actors.check import FINDINGS, INVARIANTS, VERDICTS, Oracles
from actors.errors import KernelError
from actors.execute.conform import Replay
from actors.kernel.uapi import VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import open_machine
from actors.program import load_vectors
from tests.actors.check.stage import Stage

VECTORS = sorted((Path(__file__).parents[2] / "conformance" / "vectors").glob("linux-6.12-*.json"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_mended_kernel_breaks_nothing_in_any_recorded_vector(path: Path) -> None:
    file = load_vectors(path)
    for program in file.programs:
        replay = Replay(program, "fixed", file.pinned_counts)
        oracles = Oracles(replay.machine)
        replay.run(replay.execution.start())
        for index, step in enumerate(program.setup):
            replay.step(index, step)
            if replay.verdict is not None:
                break
            assert oracles.step() is None, (program.name, index, step.op, str(oracles.violations[0]))
            assert not oracles.findings, (program.name, index, step.op, str(oracles.findings[0]))
        else:
            replay.finish()
            assert oracles.quiescent(final=True) == [], program.name


def test_a_whole_life_is_clean_on_v2() -> None:
    stage = Stage().v2()
    stage.run(stage.container.create_window(16, 1 << 30))
    stage.run(stage.container.map_dma(1 << 59, stage.ram.start, 4 << 16))
    stage.run(stage.machine.dma(0, 0, 4096, write=True))
    stage.run(stage.container.unmap_dma(0, 4 * 4096))
    stage.run(stage.container.remove_window(1 << 59))
    assert stage.oracles.quiescent(final=False) == []
    stage.run(stage.container.unregister_memory(stage.ram))
    stage.run(stage.qemu.exit())
    assert stage.oracles.quiescent(final=True) == []
    assert stage.seen() == []


def test_a_whole_life_is_clean_on_v1() -> None:
    stage = Stage().v1()
    stage.run(stage.container.unmap_dma(0, 4096))
    stage.run(stage.container.disable())
    stage.run(stage.qemu.exit())
    assert stage.oracles.quiescent(final=True) == []
    assert stage.seen() == []


def test_an_mlocked_process_stays_charged_for_what_it_locked_itself() -> None:
    stage = Stage().v2()
    more = stage.run(stage.qemu.mmap(1 << 20))
    stage.run(stage.qemu.mlock(more))
    assert stage.mm.locked_vm.value == 16 + 16 + stage.table.hw.it_allocated_size // 65536
    stage.run(stage.qemu.exit())
    assert stage.oracles.quiescent(final=True) == []
    assert stage.seen() == []


def test_a_detached_machine_is_watched_no_longer_and_can_be_copied() -> None:
    stage = Stage(races=True).v2()
    stage.oracles.detach()
    stage.mm.locked_vm.value += 1
    stage.run(stage.qemu.touch(stage.ram))
    assert stage.machine.snapshot() is not None
    assert stage.core.lock_watch is None
    assert stage.core.call_watch is None


def test_the_table_of_invariants_is_that_of_section_j() -> None:
    letters = {name[2]: 0 for name in INVARIANTS}
    for name in INVARIANTS:
        letters[name[2]] += 1
    assert letters == {"M": 3, "R": 3, "P": 3, "L": 3, "T": 7, "W": 4, "D": 1, "E": 1, "A": 3, "K": 4, "Q": 5}
    assert set(INVARIANTS) > FINDINGS
    assert "violation" in VERDICTS
    modules = {path.stem for path in Path(__file__).parents[3].joinpath("actors", "check").glob("*.py")}
    assert {invariant.module for invariant in INVARIANTS.values()} <= modules | {"blame"}


async def test_a_free_machine_can_be_watched_too() -> None:
    async with open_machine() as machine:
        oracles = Oracles(machine)
        qemu = await machine.spawn("qemu")
        ram = await qemu.mmap(1 << 20)
        container, group = await qemu.open_container(), await qemu.open_group(0)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        assert oracles.step() is None
        await container.map_dma(0, ram.start, 1 << 16)
        assert oracles.step() is None
        with pytest.raises(KernelError):
            await container.unregister_memory(ram)
        assert oracles.step() is None
        assert oracles.findings == []
        machine.memory.pin(machine.memory.allocate(1, "somebody"), "somebody")
        found = oracles.at_rest()
        assert [violation.invariant for violation in found] == ["J-P1"]
        assert "17 pins" in found[0].message
