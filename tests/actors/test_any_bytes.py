"""An ioctl with any number and any bytes gives a kernel return code, never an exception."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.uapi import UserPointer
from actors.machine import Machine
from actors.program.values import MachineSpec
from actors.runtime.bare import BareRuntime
from actors.runtime.copies import Snapshot

KNOWN = sorted(uapi.REQUEST_NAMES)
SPEC = MachineSpec(memory_bytes=16 << 20, dma32_window_size=1 << 26)

words = st.one_of(st.integers(0, 64), st.sampled_from([1 << 12, 1 << 16, 1 << 31, 1 << 32, 1 << 59]),
                  st.integers(0, (1 << 64) - 1))  # fmt: skip
sizes = st.sampled_from([0, 4, 8, 16, 20, 24, 32, 40, 48, 0xFFFFFFFF])
structs = st.tuples(sizes, st.integers(0, 7), st.lists(words, max_size=5)).map(
    lambda parts: struct.pack(f"<II{len(parts[2])}Q", parts[0], parts[1], *parts[2])
)
payloads = st.one_of(st.none(), st.binary(max_size=64), structs)
requests = st.one_of(st.sampled_from(KNOWN), st.sampled_from(KNOWN), st.integers(0, (1 << 32) - 1))
arguments = st.one_of(payloads.map(lambda b: None if b is None else bytearray(b)), st.integers(-1, 1 << 64))
descriptors = st.sampled_from(["container", "group", "device", "null", "closed"])
calls = st.lists(st.tuples(descriptors, requests, arguments), min_size=1, max_size=6)
MODES = [None, uapi.VFIO_SPAPR_TCE_IOMMU, uapi.VFIO_SPAPR_TCE_v2_IOMMU]


def prepared(iommu_type: int | None) -> tuple[Snapshot, dict[str, int]]:
    """A process with an open container, group and device, as far as the IOMMU type lets them be."""
    core = BareRuntime()
    machine = Machine.boot(core, "fixed", SPEC)
    fds: dict[str, int] = {"closed": 999, "device": 998}

    async def setup() -> None:
        process = await machine.spawn("fuzzer")
        await process.mmap(1 << 20)
        container, group = await process.open_container(), await process.open_group(0)
        fds["container"], fds["group"] = container.fd, group.fd
        fds["null"] = await process.call(m.OpenPath("/dev/null"))
        if iommu_type is not None:
            await group.set_container(container)
            await container.set_iommu(iommu_type)
            fds["device"] = (await group.open_device()).fd

    thread = core.spawn(machine.harness, setup(), "setup")
    core.run()
    core.result(thread)
    return machine.snapshot(), fds


PREPARED = [prepared(mode) for mode in MODES]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(PREPARED), calls)
def test_any_ioctl_gives_a_return_code(
    start: tuple[Snapshot, dict[str, int]], calls: list[tuple[str, int, Any]]
) -> None:
    snapshot, fds = start
    core = BareRuntime(budget=2_000_000)
    machine = Machine.restore(core, snapshot)
    process = next(name for name in core.actors if name.startswith("process:"))
    answers: list[object] = []

    async def fuzz() -> None:
        for descriptor, cmd, arg in calls:
            value = UserPointer(arg) if arg is None or isinstance(arg, bytearray) else arg
            answers.append(await machine.request(process, m.Ioctl(fds[descriptor], cmd, value)))
        await machine.request(process, m.Kill())
        await machine.rcu_barrier()

    thread = core.spawn(machine.harness, fuzz(), "fuzz")
    core.run()
    core.result(thread)
    assert len(answers) == len(calls)
    assert all(type(answer) is int and answer >= -4095 for answer in answers)
    assert machine.memory.pinned_pages == 0
    assert not machine.world.misuses
