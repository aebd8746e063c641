from __future__ import annotations

from typing import Any, ClassVar

import pytest
import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Core
from actors.runtime.errors import Deadlock, KernelOops
from actors.runtime.free import FreeRuntime
from actors.runtime.messages import Request
from actors.runtime.rcu import Rcu
from actors.runtime.sync import Mutex
from tests.actors.runtime.lab import bare, on_bare, spawn


class Free(Request[None], frozen=True):
    serves: ClassVar[str] = "free"
    what: str


class Barrier(Request[None], frozen=True):
    serves: ClassVar[str] = "rcu_barrier"


class Heap(Actor):
    kind = "heap"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.log: list[str] = []

    async def free(self, what: str) -> None:
        self.log.append(f"free {what}")
        if what == "poison":
            raise KernelOops("poisoned", "free")


def build(core: Core) -> Heap:
    """A reader and an updater: the reader holds a pointer across points, the updater unlinks and frees."""
    rcu, heap, step = Rcu(core), Heap(core), Mutex(core, "step")
    published = ["region"]

    async def reader() -> None:
        async with rcu.read_lock():
            async with rcu.read_lock():
                pointer = published[0] if published else None
            for _ in range(3):
                async with step:
                    if pointer is not None:
                        assert f"free {pointer}" not in heap.log, "used after its grace period"
                        heap.log.append(f"use {pointer}")

    async def updater() -> None:
        async with step:
            published.clear()
            heap.log.append("unlink")
        await rcu.call_rcu(heap.id, Free("region"))
        await rcu.rcu_barrier()
        heap.log.append("barrier")

    spawn(core, reader=reader(), updater=updater())
    return heap


def test_nothing_is_freed_under_a_reader_and_a_barrier_waits_for_what_was_queued() -> None:
    logs = set()
    for seed in range(200):
        core, heap = on_bare(build, seed)
        assert heap.log.index("free region") < heap.log.index("barrier")
        assert not core.threads
        logs.add(tuple(heap.log))
    assert len(logs) > 3, "orders differ"


def test_a_reader_who_comes_later_holds_nothing_up() -> None:
    core = bare("updater", "updater", "updater", "rcu-callback:0", "late", "late")
    rcu, heap = Rcu(core), Heap(core)

    async def late() -> None:
        async with rcu.read_lock():
            heap.log.append("reading")
            await rcu.rcu_barrier()

    async def updater() -> None:
        await rcu.call_rcu(heap.id, Free("x"))

    spawn(core, updater=updater(), late=late())
    core.run()
    assert sorted(heap.log) == ["free x", "reading"]


def test_a_barrier_inside_a_read_section_is_a_deadlock_that_names_the_reader() -> None:
    core = bare()
    rcu, heap = Rcu(core), Heap(core)

    async def fool() -> None:
        async with rcu.read_lock():
            await rcu.call_rcu(heap.id, Free("x"))
            await rcu.rcu_barrier()

    spawn(core, fool=fool())
    with pytest.raises(Deadlock, match=r"fool waits for callback:0.done, held by rcu-callback:0"):
        core.run()
    waiting = next(t for t in core.threads.values() if t.name == "rcu-callback:0")
    assert waiting.guard is not None
    assert waiting.guard.holders() == ["fool"]


def test_a_reader_that_crashes_ends_no_grace_period() -> None:
    core = bare("dead", "dead", "dead", "dead")
    rcu, heap = Rcu(core), Heap(core)

    async def dead() -> None:
        async with rcu.read_lock():
            await rcu.call_rcu(heap.id, Free("x"))
            raise KernelOops("crash", "mm_iommu_lookup")

    spawn(core, dead=dead())
    core.run()
    assert heap.log == []
    assert [t.name for t in rcu.readers] == ["dead"]


def test_a_callback_that_crashes_does_not_hold_a_barrier_up() -> None:
    core = bare()
    rcu, heap = Rcu(core), Heap(core)

    async def updater() -> None:
        await rcu.call_rcu(heap.id, Free("poison"))
        await rcu.call_rcu(heap.id, Free("x"))
        await rcu.rcu_barrier()
        heap.log.append("barrier")

    spawn(core, updater=updater())
    core.run()
    assert sorted(heap.log) == ["barrier", "free poison", "free x"]
    assert heap.log[-1] == "barrier"
    assert not rcu.callbacks


async def test_free_callbacks_run_when_somebody_asks() -> None:
    async with trio.open_nursery() as nursery:
        core = FreeRuntime(nursery)
        rcu, heap, outside = Rcu(core), Heap(core), Actor(core)

        async def ask(request: Request[Any]) -> None:
            await core.request(outside, rcu.id, request)

        class Call(Request[None], frozen=True):
            serves: ClassVar[str] = "call_rcu"
            target: str
            request: Request[Any]

        await ask(Call(heap.id, Free("a")))
        await ask(Call(heap.id, Free("b")))
        await trio.testing.wait_all_tasks_blocked()
        assert heap.log == []
        async with trio.open_nursery() as askers:
            askers.start_soon(ask, Barrier())
            askers.start_soon(ask, Barrier())
        assert heap.log == ["free a", "free b"]
        assert not rcu.callbacks
        nursery.cancel_scope.cancel()
