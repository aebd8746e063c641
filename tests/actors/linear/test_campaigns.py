"""The check in campaigns: the mended kernel passes, kernels with races do not."""

from __future__ import annotations

from errno import EBUSY
from pathlib import Path

import pytest
import trio
from msgspec import structs

import actors
from actors.check import Oracles, Violation
from actors.explore import capture, explore, load_failure, replay, save_failure, scenarios
from actors.explore.faults import FailNth
from actors.explore.scenarios import builtin, builtin_names
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.tce_container import TceContainer
from actors.linear import History, Linear, Recorder, Verdict, check, judgeable
from actors.linear.oracle import LinearOracles
from actors.linear.rules import SEQUENTIAL, UNSEEN
from actors.machine import Machine
from actors.program import MachineSpec, Program, Step, ThreadSpec, load_program, parse_address, parse_size
from hw import Ua

SMALL = Path(scenarios.__file__).parent / "defects"


class OnlyHistories(LinearOracles):
    """Nobody looks at anything but the answers."""

    def step(self) -> Violation | None:
        return None

    def quiescent(self, *, final: bool) -> list[Violation]:
        self.recorder.look()
        if final:
            self.judge_history()
        return self.violations


class LinearAlone(Linear):
    """Makes oracles that judge histories and nothing else."""

    def __call__(self, machine: Machine, *, fatal: str = "") -> Oracles:
        return OnlyHistories(machine, self, fatal)


def without_expectations(program: Program) -> Program:
    """The program, whatever its steps come to."""

    def plain(step: Step) -> Step:
        return structs.replace(step, ret=None, errno=None)

    def plain_thread(thread: ThreadSpec) -> ThreadSpec:
        return structs.replace(thread, steps=tuple(plain(step) for step in thread.steps))

    return structs.replace(program, threads=tuple(plain_thread(thread) for thread in program.threads))


@pytest.mark.parametrize("name", builtin_names())
def test_the_mended_kernel_is_linearizable(name: str) -> None:
    linear = Linear()
    report = explore(builtin(name), "fixed", "random", schedules=12, oracles=linear)
    assert (report.verdict, report.findings) == ("ok", ())
    assert linear.judged >= 2


RACES = {
    "overlap-race-einval": "REGISTER_MEMORY(fd",
    "default-window-double-create": "is charged",
    "remove-pending-unlocked": "is charged",
    "v2-mapped-inc-success": "MAP_DMA(fd",
    "tce-view-race": "pages are pinned",
    "tce-level-race": "pages are pinned",
    "ioctl-vs-release": "MAP_DMA(fd",
}
"""Defect -> what the report of its small program says."""


def test_a_driver_that_is_replaced_while_a_call_is_under_way() -> None:
    """The model follows a REGISTER that has bound a driver which is gone by then; it cannot go on."""
    steps = builtin("register-twice").setup
    swap = (
        Step("unsetcont", actor=0, fd="G0"),
        Step("setcont", actor=0, fd="G0", container="C0"),
        Step("setiommu", actor=0, fd="C0", iommu_type=7),
    )
    register = Step("reg", actor=0, fd="C0", vaddr=parse_address("M0"), size=parse_size("1P"))
    threads = (ThreadSpec("register", actor=0, steps=(register,)), ThreadSpec("swap", actor=0, steps=swap))
    report = explore(Program("swap", setup=steps, threads=threads), "fixed", schedules=200, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_a_device_is_opened_before_its_descriptor_is_there() -> None:
    """Who finds the device open may still be the first to get a descriptor."""
    steps = builtin("register-twice").setup[:4]
    opens = ThreadSpec("opens", actor=0, steps=(Step("devfd", actor=0, fd="G0", newfd="D0"),))
    looks = (Step("unsetcont", actor=0, fd="G0"), Step("devfd", actor=0, fd="G0", newfd="D1"))
    program = Program("devices", setup=steps, threads=(opens, ThreadSpec("looks", actor=0, steps=looks)))
    report = explore(program, "fixed", "pos", schedules=300, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_an_entry_is_emptied_before_its_region_is_counted_down() -> None:
    """UNREGISTER may find memory mapped that another thread's UNMAP has just let go of."""
    at = {"actor": 0, "fd": "C0", "iova": parse_size(4096)}
    memory = {"actor": 0, "fd": "C0", "vaddr": parse_address("M0")}
    page, pages = parse_size(4096), parse_size("2P")
    steps = (
        *builtin("register-twice").setup,
        Step("reg", size=pages, **memory),
        Step("map", size=page, vaddr=parse_address("M0"), **at),
    )
    first = ThreadSpec("first", actor=0, steps=(Step("unmap", size=page, **at),))
    second = (Step("unmap", size=page, **at), Step("unreg", size=pages, **memory))
    program = Program("twice", setup=steps, threads=(first, ThreadSpec("second", actor=0, steps=second)))
    report = explore(program, "fixed", "pos", schedules=300, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_a_region_is_listed_before_its_container_is_enabled() -> None:
    """MAP may find a container disabled whose REGISTER another one's UNREGISTER has noticed already."""
    groups = builtin("shared-region-close")
    memory = {"actor": 0, "vaddr": parse_address("M0"), "size": parse_size("1P")}
    other = [step for step in groups.setup if step.op in ("open", "setcont", "setiommu")]
    steps = (
        *other,
        Step("mmap", actor=0, addr=parse_address("M0"), size=parse_size("1P"), prot="rw"),
        Step("reg", fd="C1", **memory),
        Step("map", actor=0, fd="C1", vaddr=parse_address("M0"), iova=parse_size(0), size=parse_size(4096)),
    )
    registers = ThreadSpec("registers", actor=0, steps=(Step("reg", fd="C0", **memory),))
    at = Step(
        "map", actor=0, fd="C0", vaddr=parse_address("M1"), iova=parse_size(4096), size=parse_size(4096)
    )
    looks = ThreadSpec("looks", actor=0, steps=(Step("unreg", fd="C1", **memory), at))
    program = Program("listed", machine=groups.machine, setup=steps, threads=(registers, looks))
    for strategy in ("pos", "random"):
        report = explore(program, "fixed", strategy, schedules=400, oracles=Linear())
        assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_an_unmap_looks_at_one_entry_after_the_other() -> None:
    """It may be past an entry when a MAP fills it, and come to the next when the MAP has filled that too."""
    register = Step("reg", actor=0, fd="C0", vaddr=parse_address("M0"), size=parse_size("1P"))
    at = {"actor": 0, "fd": "C0", "iova": parse_size(0), "size": parse_size(8192)}
    maps = ThreadSpec("maps", actor=0, steps=(Step("map", vaddr=parse_address("M0"), **at),))
    unmaps = ThreadSpec("unmaps", actor=0, steps=(Step("unmap", **at),))
    first = structs.replace(maps.steps[0], size=parse_size(4096))
    steps = (*builtin("register-twice").setup, register, first)
    program = Program("entries", setup=steps, threads=(maps, unmaps))
    report = explore(program, "fixed", "random", schedules=400, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_the_default_window_is_charged_before_the_one_asked_for() -> None:
    """A thread that gives CAP_IPC_LOCK up in between lets the second fail, and the first stays."""
    limit = Step("rlimit", actor=0, limit=parse_size(0))
    create = Step("create", actor=0, fd="C0", page_shift=16, window_size=parse_size(2 << 30), levels=3)
    creates = ThreadSpec("creates", actor=0, steps=(create,))
    drops = ThreadSpec("drops", actor=0, steps=(Step("dropcap", actor=0),))
    looks = Step("remove", actor=0, fd="C0", start_addr=parse_size(2048))
    steps = (*builtin("register-twice").setup, limit)
    program = Program("charges", setup=steps, threads=(creates, drops), finally_=(looks,))
    report = explore(program, "fixed", "pos", schedules=300, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


@pytest.mark.parametrize("kernel", ["v4.10", "v6.12", "fixed"])
def test_the_limit_counts_even_when_all_is_locked_already(kernel: str) -> None:
    """Locking again what is locked fails after the limit was lowered; who may not lock at all is told so."""
    lock = Step("mlock", actor=0, addr=parse_address("M0"), size=parse_size("4P"))
    steps = (*builtin("register-twice").setup, lock, Step("dropcap", actor=0))
    lowers = ThreadSpec("lowers", actor=0, steps=(Step("rlimit", actor=0, limit=parse_size(1 << 16)),))
    bars = ThreadSpec("bars", actor=0, steps=(Step("rlimit", actor=0, limit=parse_size(0)),))
    program = Program("limits", setup=steps, threads=(lowers, bars, ThreadSpec("locks", 0, steps=(lock,))))
    report = explore(program, kernel, "dpor", schedules=1000, oracles=Linear())
    assert (report.verdict, report.findings, report.complete) == ("ok", (), True), report.message


@pytest.mark.parametrize("kernel", ["v4.10", "v6.12", "fixed"])
def test_a_group_that_is_open_is_refused_after_a_descriptor_was_promised(kernel: str) -> None:
    """So who opens something else afterwards may get a lower descriptor, or a higher one."""
    opens = Step("open", path="/dev/vfio/<group>", group_index=1, fd="G1")
    also = (structs.replace(opens, fd="G2"), Step("opennull", fd="N"))
    threads = ThreadSpec("first", actor=0, steps=(opens,)), ThreadSpec("second", actor=0, steps=also)
    program = Program(
        "opens", machine=MachineSpec(groups=2), setup=builtin("register-twice").setup, threads=threads
    )
    report = explore(program, kernel, "dpor", schedules=1000, oracles=Linear())
    assert (report.verdict, report.findings, report.complete) == ("ok", (), True), report.message


def test_a_group_that_leaves_is_seen_as_a_whole() -> None:
    """Who was told that the container has no IOMMU any more is not told that it is still set."""
    steps = (*builtin("register-twice").setup, Step("fork", actor=0, new_actor=1))
    unset = ThreadSpec("unset", actor=1, steps=(Step("unsetcont", actor=1, fd="G0"),))
    register = Step("reg", actor=0, fd="C0", vaddr=parse_address("M0"), size=parse_size("1P"))
    looks = ThreadSpec("looks", actor=0, steps=(register, Step("status", actor=0, fd="G0")))
    program = Program("leaving", setup=steps, threads=(unset, looks))
    report = explore(program, "fixed", schedules=300, oracles=Linear())
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_a_program_in_which_nobody_does_anything() -> None:
    assert explore(Program("nothing"), "fixed", oracles=Linear()).verdict == "ok"


@pytest.mark.parametrize("slug", RACES)
def test_answers_alone_give_a_race_away(slug: str) -> None:
    program = without_expectations(load_program(SMALL / f"{slug}.json"))
    report = explore(program, "fixed", "random", schedules=200, oracles=LinearAlone())
    assert (report.verdict, report.invariant) == ("violation", "linearizability")
    assert RACES[slug] in report.message
    assert report.message.startswith("no sequential order ")


def test_a_failure_is_kept_and_replayed_with_the_check(tmp_path: Path) -> None:
    program, kernel = builtin("shared-region-register"), find_kernel("v6.12")
    report = explore(program, kernel, "random", schedules=100, linear=True)
    assert report.invariant == "linearizability"
    assert report.failure is not None
    path = save_failure(capture(program, kernel, report.failure), tmp_path)
    again = replay(load_failure(path))
    assert (again.invariant, again.message) == ("linearizability", report.message)


def test_the_same_without_the_check_is_not_found() -> None:
    report = explore(builtin("shared-region-register"), "v6.12", "random", schedules=100)
    assert report.invariant != "linearizability"


def test_a_kernel_that_the_model_cannot_stand_for_is_noted() -> None:
    kernel = find_kernel("fixed", ["foreign-process-ioctl"])
    report = explore(builtin("register-twice"), kernel, "random", schedules=2, linear=True)
    assert [finding.invariant for finding in report.findings] == ["not-judged"]
    assert "has no rule for foreign-process-ioctl" in report.findings[0].message


class Yielding(Piece):
    slug = "yielding"

    class container(Container):
        async def tce_iommu_unregister_pages(self, container: TceContainer, vaddr: Ua, size: int) -> int:
            ret = await super().tce_iommu_unregister_pages(container, vaddr, size)
            return 0 if ret == -EBUSY else ret


def test_a_variant_of_your_own_is_held_to_the_kernel_that_it_changes() -> None:
    kernel = find_kernel("fixed").with_piece(Yielding)
    report = explore(builtin("map-vs-unregister"), kernel, "random", schedules=50, linear=True)
    assert report.invariant == "linearizability"
    assert "UNREGISTER_MEMORY(fd 3" in report.message
    assert report.message.endswith("returned 0; the orders allow -EBUSY")


def test_injected_failures_are_not_judged() -> None:
    linear = Linear()
    report = explore(
        builtin("register-twice"), "fixed", "random", schedules=5, oracles=linear, faults=FailNth(0)
    )
    assert (report.verdict, report.findings) == ("ok", ())


def test_every_piece_is_a_rule_or_unseen_or_refused() -> None:
    slugs = set(piece_names())
    assert slugs >= SEQUENTIAL.keys() | UNSEEN
    assert not SEQUENTIAL.keys() & UNSEEN
    for slug in slugs - SEQUENTIAL.keys() - UNSEEN:
        assert slug in judgeable(find_kernel("fixed", [slug]))
    assert judgeable("fixed") == judgeable("v6.12") == judgeable("v4.19") == ""


async def a_day(machine: Machine) -> None:
    """One call after another, of every kind."""
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container, group = await qemu.open_container(), await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(actors.VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)
    await container.map_dma(iova=0, vaddr=ram.start, size=1 << 16)
    child = await qemu.fork()
    await container.info()
    await container.unmap_dma(iova=0, size=1 << 16)
    await child.exit()
    await container.unregister_memory(ram)
    await qemu.exit()


class Keeping(Linear):
    """Remembers what was judged."""

    def judge(self, history: History) -> Verdict:
        self.last = history
        return super().judge(history)


def test_the_typed_api_is_recorded_too() -> None:
    linear = Keeping()
    report = explore(a_day, "fixed", "random", schedules=1, oracles=linear)
    assert (report.verdict, report.findings, linear.judged) == ("ok", (), 1)
    calls = [call.op.call for call in linear.last.calls]
    assert calls == [
        "spawn", "mmap", "open", "open", *["ioctl"] * 4, "fork", "ioctl", "ioctl", "exit", "ioctl", "exit",
        "look",
    ]  # fmt: skip
    assert check(linear.last).ok


def test_a_machine_whose_orders_nobody_chooses_is_not_recorded() -> None:
    async def main() -> None:
        async with actors.open_machine(kernel="fixed") as machine:
            with pytest.raises(ValueError, match="free runtime"):
                Recorder(machine)

    trio.run(main)
