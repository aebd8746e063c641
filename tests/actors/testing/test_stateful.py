"""The state machine: the mended kernel survives it, and a defect is found and shortened."""

from __future__ import annotations

import re
from errno import EINVAL, ENOENT

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from actors.explore.verdicts import Failed
from actors.kernel.container import Container
from actors.kernel.tce_container import TceContainer
from actors.linear import Linear
from actors.program import Address
from actors.testing.stateful import WHOLE, KernelMachine
from hw import Ua

FEW = settings(max_examples=30, stateful_step_count=20, deadline=None, derandomize=True, database=None)
FIND = settings(
    FEW,
    max_examples=300,
    stateful_step_count=12,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
)


def test_the_mended_kernel_survives() -> None:
    run_state_machine_as_test(KernelMachine, settings=FEW)  # type: ignore[no-untyped-call]


def test_a_leak_is_found_and_shortened() -> None:
    class Leaking(KernelMachine):
        kernel = "v4.9"

    with pytest.raises(Failed) as found:
        run_state_machine_as_test(Leaking, settings=FIND)  # type: ignore[no-untyped-call]
    told = "\n".join(getattr(found.value, "__notes__", []))
    calls = re.findall(r"state\.(\w+)\(", told)
    assert calls[0] == "boot"
    assert calls[-1] == "teardown"
    assert len(calls) <= 6


def test_the_whole_agrees_with_the_sequential_model() -> None:
    linear = Linear()

    class Modelled(KernelMachine):
        oracles = linear

    run_state_machine_as_test(Modelled, settings=FEW)  # type: ignore[no-untyped-call]
    assert linear.judged > 0


def test_a_wrong_answer_is_found_by_the_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Container.tce_iommu_unregister_pages

    async def wrong(self: Container, container: TceContainer, vaddr: Ua, size: int) -> int:
        ret = await right(self, container, vaddr, size)
        return -EINVAL if ret == -ENOENT else ret

    monkeypatch.setattr(Container, "tce_iommu_unregister_pages", wrong)

    class Modelled(KernelMachine):
        oracles = Linear()

    for machine in (KernelMachine, Modelled):
        calls = machine()
        calls.boot()
        container, other = calls.guest(0, 0), calls.mmap(0)
        calls.registered(container)
        assert calls.do("unreg", 0, fd=container[1], vaddr=Address(other[1]), size=WHOLE).ret == -EINVAL
        if machine is KernelMachine:
            calls.teardown()
            continue
        with pytest.raises(Failed) as found:
            calls.teardown()
        assert found.value.violation.invariant == "linearizability"
