"""Every class of scheduling points is needed: without it some defect has no failing order any more.

The search is complete both times. A point of a muted class is no decision and no step, so two accesses
next to one another become one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.explore import prepare, scenarios
from actors.explore.explore import Campaign
from actors.explore.strategies import Dpor
from actors.kernel import uapi
from actors.kernel.catalogue import find_kernel
from actors.kernel.uapi import UserPointer
from actors.program import MachineSpec, Program, load_program
from tests.actors.explore.planted import exit_beside_a_borrower, two_closes, two_dups
from tests.actors.explore.planted.points import (
    DoubleFetch,
    InstallFindsFirst,
    LastSeenBeforeDrop,
    LazyMmUsedUnheld,
)

DEFECTS = Path(scenarios.__file__).parent / "defects"


def defect(slug):
    """The minimal program of a listed defect, on the mended kernel with it."""
    subject = load_program(DEFECTS / f"{slug}.json")
    return subject, find_kernel("fixed", subject.with_)


def with_piece(subject, piece):
    return subject, find_kernel("fixed").with_piece(piece)


async def one_buffer_for_two_calls(machine):
    """GET_INFO writes its reply to where the argument of a REGISTER lies."""
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 16)
    container, group = await qemu.open_container(), await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(uapi.VFIO_SPAPR_TCE_v2_IOMMU)
    argument = uapi.REGISTER_MEMORY.pack(uapi.TCE_INFO.size, 0, ram.start, 1 << 16)
    shared = UserPointer(bytearray(argument.ljust(uapi.TCE_INFO.size, b"\0")), "shared")

    async def register():
        ret = await qemu.ioctl(container.fd, uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, shared)
        assert ret in (0, -22), f"REGISTER returned {ret}: neither all was well nor were flags set"

    async def info():
        await qemu.ioctl(container.fd, uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, shared)

    async with machine.threads() as threads:
        threads.start("register", register())
        threads.start("info", info())


NEEDED = {
    "lock": defect("overlap-race-einval"),
    "counter": defect("lookup-uaf"),
    "slot": defect("tce-view-race"),
    "field": defect("default-window-double-create"),
    "device": defect("stale-translation-window"),
    "lifetime": defect("find-without-reference"),
    "list": with_piece(two_dups(), InstallFindsFirst),
    "reference": with_piece(two_closes(), LastSeenBeforeDrop),
    "message": with_piece(exit_beside_a_borrower(), LazyMmUsedUnheld),
    "user-copy": with_piece(one_buffer_for_two_calls, DoubleFetch),
}


class Muted(Campaign):
    """A campaign in which some classes of points are none."""

    muted: frozenset[str] = frozenset()

    def core(self, chooser, every):
        core = super().core(chooser, every)
        core.muted = self.muted
        return core


def prepared(subject, kernel="fixed"):
    small_pages = {} if isinstance(subject, Program) else {"spec": MachineSpec(page_size=4096)}
    return prepare(subject, kernel, **small_pages)


@pytest.mark.parametrize("kind", NEEDED)
def test_without_a_class_of_points_a_defect_is_not_found(kind):
    model = prepared(*NEEDED[kind])
    found = Muted(model, Dpor()).run(schedules=500)
    assert found.verdict != "ok"
    without = Muted(model, Dpor())
    without.muted = frozenset({kind})
    report = without.run(schedules=500)
    assert report.complete, report.message
    assert report.verdict == "ok"


@pytest.mark.parametrize("kind", ["list", "reference", "message", "user-copy"])
def test_the_mended_kernel_has_no_failing_order(kind):
    report = Muted(prepared(NEEDED[kind][0]), Dpor()).run(schedules=2000)
    assert (report.verdict, report.complete) == ("ok", True), report.message
