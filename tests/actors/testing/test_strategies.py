"""The strategies draw what can run, and shrink what fails to what matters."""

from __future__ import annotations

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import NoSuchExample

from actors.kernel.composition import Kernel
from actors.program import Program, check_program, parse_exact, write_program
from actors.testing.strategies import Order, kernels, operations, orders, programs

FEW = settings(max_examples=25, deadline=None, derandomize=True, database=None)
FIND = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink]
)


@FEW
@given(programs())
def test_programs_can_run_and_be_kept(program: Program) -> None:
    check_program(program)
    assert parse_exact(write_program(program)) == program
    assert Order().run(program).verdict == "ok"


@FEW
@given(programs(threads=2, steps=2), orders(), kernels(("fixed", "v6.12")))
def test_an_order_always_comes_to_the_same(program: Program, order: Order, kernel: Kernel) -> None:
    assert order.run(program, kernel) == order.run(program, kernel)


@FEW
@given(kernels(("v4.10", "fixed"), switches=3))
def test_kernels_carry_what_is_switched_on(kernel: Kernel) -> None:
    assert kernel.name.startswith(("v4.10", "fixed"))
    assert all(slug in kernel.slugs for slug in kernel.name.split("+")[1:])


def test_kernels_shrink_to_the_first() -> None:
    assert find(kernels(switches=2), lambda kernel: True, settings=FIND).name == "fixed"
    with_defect = find(kernels(switches=3), lambda kernel: "lookup-uaf" in kernel.slugs, settings=FIND)
    assert with_defect.name in ("fixed+lookup-uaf", "v4.9")


def test_a_leak_shrinks_to_the_steps_that_matter() -> None:
    """A region that is mapped when it is unregistered leaks in 6.12."""

    def leaks(program: Program) -> bool:
        ops = [step.op for thread in program.threads for step in thread.steps]
        after = ops[ops.index("map") :] if "map" in ops else []
        return "unreg" in after and Order().run(program, "v6.12").invariant == "J-R2"

    drawn = programs(threads=1, steps=3, operation=lambda: operations(ops=("unmap", "map", "unreg")))
    program = find(drawn, leaks, settings=settings(FIND, max_examples=2000))
    (thread,) = program.threads
    assert [step.op for step in thread.steps] == ["map", "unreg"]
    assert thread.steps[0].iova is not None
    assert thread.steps[0].iova.offset == 0
    assert len(program.setup) == 7


def test_an_order_shrinks_to_the_preemption_that_matters() -> None:
    ops = operations(regions=("M0",), ops=("map", "unreg"))
    drawn = programs(threads=2, steps=1, operation=lambda: ops)
    program = find(
        drawn,
        lambda p: len(p.threads) == 2 and [s.op for t in p.threads for s in t.steps] == ["map", "unreg"],
        settings=FIND,
    )
    calm, after = Order().run(program, "v6.12"), orders(40, 2)
    order = find(after, lambda o: o.run(program, "v6.12").signature != calm.signature, settings=FIND)
    assert sum(order.taken) == 1


def test_the_database_brings_a_failure_back() -> None:
    database, seen = InMemoryExampleDatabase(), []
    how = settings(max_examples=100, deadline=None, database=database)

    @how
    @given(orders())
    def fails(order: Order) -> None:
        seen.append(order)
        assert sum(order.taken) < 3

    with pytest.raises(AssertionError):
        fails()
    last = seen[-1]
    seen.clear()
    fails._hypothesis_internal_use_settings = settings(how, phases=[Phase.reuse])
    with pytest.raises(AssertionError):
        fails()
    assert last in seen


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NoSuchExample):
        find(kernels(("fixed",)), lambda kernel: bool(kernel.slugs), settings=FIND)
