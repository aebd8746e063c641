from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actors.runtime.cells import Cell, Counter, KList, Refcount, free
from actors.runtime.core import Core
from actors.runtime.errors import UseAfterFree
from tests.actors.runtime.lab import bare, spawn, trace


def alone(body: Callable[[Core], Coroutine[Any, Any, Any]]) -> tuple[Any, list[str]]:
    core = bare()
    (thread,) = spawn(core, t=body(core))
    core.run()
    return core.result(thread), [line.removeprefix("t: ") for line in trace(core)[1:]]


def test_a_cell_is_one_point_an_access() -> None:
    async def body(core: Core) -> tuple[str, str]:
        cell = Cell(core, "mm:0.state", "old")
        before = await cell.get()
        await cell.set("new")
        return before, await cell.get()

    assert alone(body) == (
        ("old", "new"), ["field mm:0.state read", "field mm:0.state write", "field mm:0.state read"],
    )  # fmt: skip


def test_a_counter_counts_in_indivisible_steps() -> None:
    async def body(core: Core) -> list[object]:
        counter = Counter(core, "mapped", 1)
        return [
            await counter.add(2), await counter.add_unless(-1, 3), await counter.add_unless(-1, 1),
            await counter.compare_exchange(3, 9), await counter.compare_exchange(3, 7), await counter.get(),
        ]  # fmt: skip

    result, points = alone(body)
    assert result == [3, False, True, False, False, 2]
    assert points == ["counter mapped write"] * 5 + ["counter mapped read"]


def test_a_reference_count_knows_its_holders() -> None:
    async def body(core: Core) -> list[object]:
        count = Refcount(core, "mm_count", "users")
        await count.take("container", 2)
        seen: list[object] = [dict(count.holders), count.value]
        seen += [await count.drop("users"), await count.drop("container"), await count.drop("container")]
        return [*seen, count.value]

    result, _ = alone(body)
    assert result == [{"users": 1, "container": 2}, 3, False, False, True, 0]


def test_dropping_a_reference_that_one_does_not_hold_is_an_oops() -> None:
    async def body(core: Core) -> None:
        await Refcount(core, "f_count", "a").drop("b")

    with pytest.raises(UseAfterFree, match="reference of b dropped twice"):
        alone(body)


def test_a_list_takes_new_items_at_the_head_and_shows_one_moment() -> None:
    async def body(core: Core) -> list[tuple[str, ...]]:
        items: KList[str] = KList(core, "list")
        await items.add("a")
        await items.add("b")
        seen = await items.walk()
        await items.delete("a")
        return [seen, await items.walk(), tuple(items)]

    result, points = alone(body)
    assert result == [("b", "a"), ("b",), ("b",)]
    assert points == [f"list list {way}" for way in ("write", "write", "read", "write", "read")]


def test_deleting_what_is_not_on_the_list_is_an_oops() -> None:
    async def body(core: Core) -> None:
        await KList[str](core, "list").delete("x")

    with pytest.raises(UseAfterFree, match="list_del of 'x', which is not on it"):
        alone(body)


ACCESSES: dict[str, Callable[[Core], tuple[Any, Callable[[Any], Coroutine[Any, Any, Any]]]]] = {
    "get": lambda core: (Cell(core, "x", 0), lambda v: v.get()),
    "set": lambda core: (Cell(core, "x", 0), lambda v: v.set(1)),
    "counter-get": lambda core: (Counter(core, "x"), lambda v: v.get()),
    "add": lambda core: (Counter(core, "x"), lambda v: v.add(1)),
    "add_unless": lambda core: (Counter(core, "x"), lambda v: v.add_unless(1, 5)),
    "compare_exchange": lambda core: (Counter(core, "x"), lambda v: v.compare_exchange(0, 1)),
    "take": lambda core: (Refcount(core, "x", "a"), lambda v: v.take("b")),
    "drop": lambda core: (Refcount(core, "x", "a"), lambda v: v.drop("a")),
    "walk": lambda core: (KList(core, "x"), lambda v: v.walk()),
    "list_add": lambda core: (KList(core, "x"), lambda v: v.add(1)),
    "list_del": lambda core: (KList(core, "x"), lambda v: v.delete(1)),
}


@pytest.mark.parametrize("access", ACCESSES)
def test_every_access_after_the_end_is_a_use_after_free(access: str) -> None:
    async def body(core: Core) -> None:
        variable, use = ACCESSES[access](core)
        await free("x", variable)
        await use(variable)

    with pytest.raises(UseAfterFree) as caught:
        alone(body)
    assert caught.value.object == "x"
    assert caught.value.invariant == "J-K2"
    assert "body" in caught.value.place


def test_every_access_is_told_to_the_tracer_with_what_changed() -> None:
    class Tracer:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def access(self, thread: object, op: object, before: object, after: object, note: str) -> None:
            self.lines.append(f"{op}: {before} -> {after}{note and ' ' + note}")

        def event(self, thread: object, name: str, fields: dict[str, Any]) -> None:
            pass

    tracer = Tracer()

    async def body(core: Core) -> None:
        core.tracing, core.tracer = True, tracer
        await Cell(core, "cell", 1).set(2)
        await Counter(core, "counter", 1).add(2)
        await Refcount(core, "count", "a").take("b")
        await KList[str](core, "list").add("item")

    alone(body)
    assert tracer.lines == [
        "field cell write: 1 -> 2", "counter counter write: 1 -> 3", "reference count write: 1 -> 2 b",
        "list list write: None -> item",
    ]  # fmt: skip
