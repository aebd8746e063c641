from __future__ import annotations

from typing import ClassVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.runtime.actor import Actor
from actors.runtime.core import Core
from actors.runtime.errors import EmulatorError, KernelOops
from actors.runtime.free import FreeRuntime
from actors.runtime.messages import Request
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Mutex


class Work(Request[str], frozen=True):
    serves: ClassVar[str] = "work"
    name: str


class Crash(Request[None], frozen=True):
    serves: ClassVar[str] = "crash"


class Worker(Actor):
    """Serves two kinds of work, one under a lock, with a far call inside."""

    kind = "worker"

    def __init__(self, core: Core, helper: str = "") -> None:
        super().__init__(core)
        self.helper = helper
        self.lock = Mutex(core, f"{self.id}.lock")
        self.log: list[str] = []
        self.inside = self.most = 0

    async def work(self, name: str) -> str:
        async with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.log.append(f"+{name}")
            if self.helper:
                await call(self.helper, Work(name))
            self.log.append(f"-{name}")
            self.inside -= 1
        return name

    async def crash(self) -> None:
        async with self.lock:
            raise KernelOops("BUG", "crash")


class Client(Actor):
    """A process: whoever calls is one of its threads."""

    kind = "client"
    callers_are_threads = True

    def __init__(self, core: Core, worker: str) -> None:
        super().__init__(core, "qemu")
        self.worker = worker
        self.finished: list[str] = []

    async def work(self, name: str) -> str:
        result = await call(self.worker, Work(name))
        await point(Op("field", "anything", True))
        self.finished.append(name)
        return result

    async def crash(self) -> None:
        await call(self.worker, Crash())


class Lab:
    def __init__(self, nursery: trio.Nursery, capacity: int = 1024) -> None:
        self.core = FreeRuntime(nursery, capacity=capacity)
        self.helper = Worker(self.core)
        self.worker = Worker(self.core, self.helper.id)
        self.client = Client(self.core, self.worker.id)
        self.outside = Actor(self.core)
        self.replies: list[str] = []

    async def ask(self, name: str, target: Actor | None = None) -> None:
        reply = await self.core.request(self.outside, (target or self.client).id, Work(name))
        self.replies.append(reply)


async def test_many_callers_are_served_and_the_lock_excludes() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        names = [f"n{i}" for i in range(40)]
        async with trio.open_nursery() as callers:
            for name in names:
                callers.start_soon(lab.ask, name)
        assert sorted(lab.replies) == sorted(names)
        assert lab.worker.most == lab.helper.most == 1
        assert not lab.core.threads
        nursery.cancel_scope.cancel()


async def test_a_woken_thread_that_comes_too_late_is_not_lost_and_not_woken_twice() -> None:
    """One waits; the lock is given back and taken again before the waiter arrives; again and again."""
    async with trio.open_nursery() as nursery:
        core = FreeRuntime(nursery)
        worker, outside = Worker(core), Actor(core)
        lock, log = worker.lock, list[str]()

        async def owner() -> None:
            for turn in range(6):
                async with lock:
                    log.append(f"owner {turn}")
                    if turn == 0:
                        core.spawn(worker, waiter(), "waiter")
                        await call(worker.id, Work2())

        async def waiter() -> None:
            log.append("waiter comes")
            async with lock:
                log.append("waiter in")

        class Work2(Request[None], frozen=True):
            serves: ClassVar[str] = "nothing"

        async def nothing() -> None:
            pass

        worker.nothing = nothing  # type: ignore[attr-defined]
        core.spawn(outside, owner(), "owner")
        await wait_all_tasks_blocked()
        assert log == ["owner 0", "waiter comes", *(f"owner {i}" for i in range(1, 6)), "waiter in"]
        assert lock.owner is None
        assert not core.threads
        assert core.callers == 0
        nursery.cancel_scope.cancel()


async def test_a_stopped_actor_keeps_its_callers_waiting_and_nobody_else() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        free_worker = Worker(lab.core)
        lab.core.pause(lab.worker.id)
        nursery.start_soon(lab.ask, "blocked")
        await wait_all_tasks_blocked()
        await lab.ask("direct", free_worker)
        assert lab.replies == ["direct"]
        lab.core.resume(lab.worker.id)
        await wait_all_tasks_blocked()
        assert lab.replies == ["direct", "blocked"]
        lab.core.resume(lab.worker.id)
        with pytest.raises(EmulatorError, match="no actor ghost:1"):
            lab.core.pause("ghost:1")
        nursery.cancel_scope.cancel()


async def test_a_stopped_process_makes_no_system_calls() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        lab.core.pause(lab.client.id)
        nursery.start_soon(lab.ask, "x")
        await wait_all_tasks_blocked()
        assert lab.worker.log == []
        lab.core.resume(lab.client.id)
        await wait_all_tasks_blocked()
        assert lab.replies == ["x"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("stopped", ["worker", "helper", "client"])
async def test_a_call_whose_caller_is_cancelled_goes_on_to_its_end(stopped: str) -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        actor: Actor = getattr(lab, stopped)
        lab.core.pause(actor.id)
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await lab.ask("abandoned")
        assert scope.cancelled_caught
        assert lab.client.finished == []
        lab.core.resume(actor.id)
        await wait_all_tasks_blocked()
        assert lab.client.finished == ["abandoned"]
        assert lab.replies == []
        assert not lab.core.threads
        await lab.ask("next")
        assert lab.replies == ["next"]
        assert lab.core.callers == 1, "the abandoned thread is not used again"
        nursery.cancel_scope.cancel()


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_caller_cancelled_while_it_waits_for_a_lock_gets_and_returns_it() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        lab.core.pause(lab.helper.id)
        nursery.start_soon(lab.ask, "first")
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await lab.ask("second")
        lab.core.resume(lab.helper.id)
        await wait_all_tasks_blocked()
        assert lab.client.finished == ["first", "second"]
        assert lab.replies == ["first"]
        assert lab.worker.lock.owner is None
        nursery.cancel_scope.cancel()


async def test_at_most_as_many_callers_as_an_inbox_holds_and_the_rest_wait() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery, capacity=4)
        lab.core.pause(lab.worker.id)
        for i in range(10):
            nursery.start_soon(lab.ask, f"n{i}")
        await wait_all_tasks_blocked()
        assert len(lab.core.inboxes[lab.worker.id]) <= 4
        assert lab.core.callers == len(lab.core.threads) == 4
        lab.core.resume(lab.worker.id)
        await wait_all_tasks_blocked()
        assert sorted(lab.replies) == [f"n{i}" for i in range(10)]
        assert lab.core.callers == 4
        nursery.cancel_scope.cancel()


async def test_a_caller_cancelled_before_it_is_let_in_has_asked_for_nothing() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery, capacity=1)
        lab.core.pause(lab.worker.id)
        nursery.start_soon(lab.ask, "in")
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await lab.ask("out")
        lab.core.resume(lab.worker.id)
        await wait_all_tasks_blocked()
        assert lab.client.finished == ["in"]
        await lab.ask("later")
        assert lab.replies == ["in", "later"]
        nursery.cancel_scope.cancel()


async def test_an_oops_reaches_the_caller_and_its_thread_is_not_used_again() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        with pytest.raises(KernelOops, match="BUG in crash"):
            await lab.core.request(lab.outside, lab.client.id, Crash())
        nursery.start_soon(lab.ask, "stuck")
        await wait_all_tasks_blocked()
        assert lab.core.stuck().waits == (("qemu", "worker:1.lock", "qemu (dead)"),)
        assert not lab.core.idle
        nursery.cancel_scope.cancel()


async def test_a_machine_that_has_ended_says_so() -> None:
    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        nursery.cancel_scope.cancel()
    with pytest.raises(EmulatorError, match="the machine has ended"):
        await lab.ask("x", lab.worker)


async def test_a_request_that_goes_nowhere_is_a_checkpoint_all_the_same() -> None:
    class Local(Client):
        async def work(self, name: str) -> str:
            return name

    async with trio.open_nursery() as nursery:
        lab = Lab(nursery)
        local = Local(lab.core, lab.worker.id)
        with trio.CancelScope() as scope:
            scope.cancel()
            await lab.ask("x", local)
        assert scope.cancelled_caught
        await lab.ask("y", local)
        assert lab.core.callers == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("stopped", ["worker", "client", "helper"])
async def test_who_waits_outside_when_the_machine_ends_is_told(stopped: str) -> None:
    told: list[str] = []

    async def caller(lab: Lab, name: str) -> None:
        with pytest.raises(EmulatorError, match="the machine has ended"):
            await lab.ask(name)
        told.append(name)

    async with trio.open_nursery() as outside, trio.open_nursery() as nursery:
        lab = Lab(nursery, capacity=2)
        lab.core.pause(getattr(lab, stopped).id)
        for i in range(4):
            outside.start_soon(caller, lab, f"n{i}")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(told) == ["n0", "n1", "n2", "n3"]
    lab.core.close()
