"""Who waits for what, and who holds it: asked of a running machine, and printed on a signal."""

from __future__ import annotations

import os
import signal
import threading
from typing import ClassVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.machine import open_machine
from actors.runtime.actor import Actor
from actors.runtime.core import Core
from actors.runtime.errors import Deadlock
from actors.runtime.explain import explain
from actors.runtime.free import FreeRuntime
from actors.runtime.messages import Request
from actors.runtime.ops import call
from actors.runtime.sync import Completion, Mutex
from tests.actors.runtime.lab import bare, spawn


class Cross(Request[None], frozen=True):
    serves: ClassVar[str] = "cross"
    other: str


class Touch(Request[None], frozen=True):
    serves: ClassVar[str] = "touch"


class Locker(Actor):
    """Takes its own lock, and inside asks another one, which takes its."""

    kind = "locker"
    callers_are_threads = True

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, name)
        self.lock = Mutex(core, f"{self.id}.lock")
        self.locked = Completion(core, f"{self.id}.locked", self.id)
        self.peer = self

    async def cross(self, other: str) -> None:
        async with self.lock:
            self.locked.complete()
            await self.peer.locked.wait()
            await call(other, Touch())

    async def touch(self) -> None:
        async with self.lock:
            pass


@pytest.fixture
def dead_end():
    """Two tasks that wait for each other on a free runtime."""

    async def run(look) -> None:
        async with trio.open_nursery() as nursery:
            core = FreeRuntime(nursery)
            one, other = Locker(core, "one"), Locker(core, "other")
            one.peer, other.peer = other, one
            nursery.start_soon(core.request, one, one.id, Cross(other.id))
            nursery.start_soon(core.request, other, other.id, Cross(one.id))
            await wait_all_tasks_blocked()
            look(core)
            nursery.cancel_scope.cancel()
        core.close()

    return run


async def test_a_circle_is_named_as_the_deadlock_it_is(dead_end) -> None:
    found = []
    await dead_end(lambda core: found.append(explain(core)))
    (explanation,) = found
    assert sorted(explanation.cycles[0]) == ["one", "other"]
    assert len(explanation.cycles) == 1
    stance = next(stance for stance in explanation.threads if stance.thread == "one")
    assert (stance.waits_for, stance.holders, stance.holds) == (
        "locker:1.lock", ("other",), ("locker:0.lock",),
    )  # fmt: skip
    assert stance.stack == ("locker:0 cross", "locker:1 touch")
    ways = (
        "deadlock: one waits for locker:1.lock, held by other, who waits for locker:0.lock, held by one",
        "deadlock: other waits for locker:0.lock, held by one, who waits for locker:1.lock, held by other",
    )
    assert str(explanation).splitlines()[-1] in ways


def test_a_lock_whose_holder_goes_on_is_no_deadlock() -> None:
    core = bare("b", "b", "a")
    lock, gate = Mutex(core, "lock"), Mutex(core, "gate")

    async def take(*locks: Mutex) -> None:
        for each in locks:
            await each.acquire()

    spawn(core, a=take(lock), b=take(lock, gate), c=take(gate))
    with pytest.raises(Deadlock):
        core.run()
    explanation = explain(core)
    assert explanation.cycles == ()
    waiting = {stance.thread: stance.holders for stance in explanation.threads if stance.waits_for}
    assert waiting == {"a": ("b (dead)",), "c": ("b (dead)",)}


async def test_a_paused_actor_is_named_and_a_machine_at_rest_says_so() -> None:
    async with open_machine() as machine:
        qemu = await machine.spawn("qemu")
        assert str(machine.explain()) == "nobody is at anything"
        mm = machine.core.actors[qemu.id].mm
        machine.core.pause(mm)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(qemu.mmap, 1 << 16)
            await wait_all_tasks_blocked()
            (stance,) = machine.explain().threads
            assert stance.paused == mm
            assert f"{mm} is paused" in str(stance)
            machine.core.resume(mm)


async def test_a_signal_prints_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    async with open_machine() as machine:
        os.kill(os.getpid(), signal.SIGUSR1)
        await trio.lowlevel.checkpoint()
        assert str(machine.explain()) in capfd.readouterr().err
        async with open_machine():
            os.kill(os.getpid(), signal.SIGUSR1)
            await trio.lowlevel.checkpoint()
            assert "machine 2 of 2" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


async def test_a_handler_of_somebody_else_stays() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        mine = signal.getsignal(signal.SIGUSR1)
        async with open_machine():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert seen == [signal.SIGUSR1]
        assert signal.getsignal(signal.SIGUSR1) is mine
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_in_another_thread_no_handler_is_set() -> None:
    seen = []

    async def main() -> None:
        async with open_machine():
            seen.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
