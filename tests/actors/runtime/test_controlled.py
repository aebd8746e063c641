from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from actors.runtime.actor import Actor
from actors.runtime.cells import Counter
from actors.runtime.controlled import ControlledRuntime
from actors.runtime.core import Core
from actors.runtime.errors import Deadlock, EmulatorError, ForeignAwait, KernelOops, Livelock
from actors.runtime.sync import Mutex
from tests.actors.runtime import test_rcu
from tests.actors.runtime.lab import Seeded, on_bare, on_trio, spawn, trace


def contended(core: Core) -> list[str]:
    """Three threads, two locks in one order, a counter; the order of entry is the outcome."""
    one, two, counter = Mutex(core, "one"), Mutex(core, "two"), Counter(core, "n")
    entered: list[str] = []

    async def body(name: str) -> None:
        for _ in range(2):
            async with one:
                entered.append(name)
                async with two:
                    await counter.add(core.choose("how much", 3))
        entered.append(f"{name} {await counter.get()}")

    spawn(core, a=body("a"), b=body("b"), c=body("c"))
    return entered


@pytest.mark.parametrize("build", [contended, test_rcu.build], ids=["locks", "rcu"])
def test_the_two_controlled_runtimes_make_the_same_run(build: Callable[[Core], Any]) -> None:
    for seed in range(100):
        bare, here = on_bare(build, seed)
        trios, there = on_trio(build, seed)
        assert trace(trios) == trace(bare)
        assert getattr(there, "log", there) == getattr(here, "log", here)
        assert trios.steps == bare.steps


async def run(*bodies: Callable[[Core], Any], budget: int = 1000) -> None:
    async with trio.open_nursery() as nursery:
        core = ControlledRuntime(nursery, Seeded(0), budget)
        spawn(core, **{f"t{i}": body(core) for i, body in enumerate(bodies)})
        try:
            await core.run()
        except BaseException as problem:
            failure: BaseException | None = problem
        else:
            failure = None
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def test_a_deadlock_reaches_whoever_runs() -> None:
    async def stuck(core: Core) -> None:
        lock = Mutex(core, "lock")
        async with lock, lock:
            pass

    with pytest.raises(Deadlock, match="t0 waits for lock, held by t0"):
        await run(stuck)


async def test_a_livelock_reaches_whoever_runs() -> None:
    async def spinning(core: Core) -> None:
        counter = Counter(core, "x")
        while True:
            await counter.add(1)

    with pytest.raises(Livelock, match="t0 goes round in x"):
        await run(spinning)


async def test_a_mistake_of_ours_reaches_whoever_runs() -> None:
    async def broken(core: Core) -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError) as caught:
        await run(broken)
    assert "in thread t0" in caught.value.__notes__[0]


async def test_a_foreign_await_is_named_and_leaves_trio_in_order() -> None:
    async def sleepy(core: Core) -> None:
        await trio.sleep(5)

    async def bystander(core: Core) -> None:
        await Counter(core, "x").add(1)

    with pytest.raises(ForeignAwait, match=r"thread t0 awaits .* at actor:0 .*sleepy"):
        await run(sleepy, bystander)
    with trio.move_on_after(10):
        await trio.lowlevel.checkpoint()


async def test_an_oops_ends_its_thread_only() -> None:
    done: list[str] = []

    async def crashing(core: Core) -> None:
        raise KernelOops("BUG", "here")

    async def bystander(core: Core) -> None:
        await Counter(core, "x").add(1)
        done.append("bystander")

    await run(crashing, bystander)
    assert done == ["bystander"]


def counting(core: Core, log: list[int]) -> Any:
    async def body() -> None:
        counter = Counter(core, "x")
        for _ in range(50):
            log.append(await counter.add(1))

    return body()


async def test_cancelling_the_caller_does_not_stop_a_run_half_way() -> None:
    async with trio.open_nursery() as nursery:
        core = ControlledRuntime(nursery, Seeded(1))
        log: list[int] = []
        spawn(core, a=counting(core, log), b=counting(core, []))
        with trio.CancelScope() as scope:
            scope.cancel()
            await core.run()
        assert scope.cancelled_caught
        assert log == list(range(1, 51))
        assert not core.threads
        spawn(core, c=counting(core, log))
        await core.run()
        assert len(log) == 100
        nursery.cancel_scope.cancel()


async def test_cancelling_the_machine_takes_effect_after_the_run() -> None:
    log: list[int] = []

    async def caller(core: ControlledRuntime, actor: Actor) -> None:
        core.spawn(actor, counting(core, log), "late")
        with pytest.raises(EmulatorError, match="late goes on in actor:0, but the machine has ended"):
            await core.run()

    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            core = ControlledRuntime(nursery, Seeded(1))
            actor = Actor(core)

            async def cancelling() -> None:
                counter = Counter(core, "y")
                for i in range(20):
                    await counter.add(1)
                    if i == 5:
                        nursery.cancel_scope.cancel()

            core.spawn(actor, counting(core, log), "a")
            spawn(core, b=cancelling(), c=counting(core, []))
            with trio.CancelScope(shield=True):
                await core.run()
            assert log == list(range(1, 51))
            assert not core.threads
        outer.start_soon(caller, core, actor)
    assert len(log) == 50


async def test_a_machine_is_run_by_one_caller_at_a_time() -> None:
    async with trio.open_nursery() as nursery:
        core = ControlledRuntime(nursery, Seeded(1))
        spawn(core, a=counting(core, []))
        async with trio.open_nursery() as callers:
            callers.start_soon(core.run)
            await trio.lowlevel.checkpoint()
            if core.running:
                with pytest.raises(EmulatorError, match="being run already"):
                    await core.run()
        core.spawn(Actor(core), counting(core, []), "b")
        await core.run()
        nursery.cancel_scope.cancel()
