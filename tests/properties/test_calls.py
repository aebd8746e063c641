"""Whatever two clients call, one after the other, on every kernel: answers and accounting agree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.execute.play.remains import remains
from actors.kernel.catalogue import find_kernel
from actors.kernel.generations import GENERATIONS
from tests.properties.client import Clients, Model, Step, programs

EXAMPLES = 30
"""Programs a kernel."""


def models(kernel: str) -> list[Model]:
    """A model for each of two clients on a kernel."""
    return [Model("unregister-busy-swallowed" in find_kernel(kernel).slugs) for _ in range(2)]


@pytest.mark.parametrize("kernel", GENERATIONS)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(program=programs)
def test_pins_and_charges_are_what_the_answers_say(kernel: str, program: list[Step]) -> None:
    clients, expected = Clients(kernel), models(kernel)
    windows = [clients.charged(index) for index in range(2)]
    for step in program:
        before = clients.charged(0), clients.charged(1), clients.pinned()
        ret = clients.make(step)
        expected[step.who].apply(step, ret)
        charged = [clients.charged(index) - windows[index] for index in range(2)]
        assert charged == [model.pages for model in expected], (step, ret)
        assert clients.pinned() == sum(model.pages for model in expected), (step, ret)
        assert ret == 0 or before == (clients.charged(0), clients.charged(1), clients.pinned()), (step, ret)
    for index, model in enumerate(expected):
        assert clients.device_sees(index) == set(model.mapped)
    assert not clients.machine.world.misuses
    clients.core.close()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(program=programs, processes=st.integers(1, 2))
def test_nothing_is_left_on_the_fixed_kernel(program: list[Step], processes: int) -> None:
    clients = Clients("fixed", processes)
    for step in program:
        clients.make(step._replace(who=step.who % processes))
    clients.end()
    assert not remains(clients.machine).anything
    assert not clients.machine.world.misuses
    clients.core.close()


LARGE = {
    "memory": {"memory_bytes": 1 << 40},
    "windows": {"dma32_window_size": 1 << 30},
    "groups": {"groups": 64, "cpus": 64},
    "everything": {"memory_bytes": 1 << 40, "dma32_window_size": 1 << 30, "groups": 64, "scale": 64},
}


@pytest.mark.parametrize("larger", LARGE)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(program=programs)
def test_a_large_machine_answers_as_a_small_one(larger: str, program: list[Step]) -> None:
    small, large = Clients("fixed"), Clients("fixed", **LARGE[larger])
    for step in program:
        assert small.make(step) == large.make(step), step
    for index in range(2):
        assert small.device_sees(index) == large.device_sees(index)
    small.core.close()
    large.core.close()
