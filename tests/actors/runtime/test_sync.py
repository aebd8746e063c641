from __future__ import annotations

import pytest

from actors.runtime.bare import BareRuntime
from actors.runtime.core import Core
from actors.runtime.errors import Deadlock, EmulatorError, KernelOops
from actors.runtime.sync import Completion, Guard, Mutex, RwSem, Side
from tests.actors.runtime.lab import Seeded, bare, on_bare, spawn, trace


class Inside:
    """Counts who is inside together, and the most that ever were."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


def crowd() -> tuple[int, int]:
    """The most readers and the most writers that are inside together, over many orders."""

    def build(core: Core) -> tuple[Inside, Inside]:
        lock, pause = RwSem(core, "lock"), Mutex(core, "pause")
        readers, writers = Inside(), Inside()

        async def body(inside: Inside, side: Side) -> None:
            async with side:
                with inside:
                    async with pause:
                        assert not (readers.now and writers.now)

        spawn(core, a=body(readers, lock.read()), b=body(readers, lock.read()))
        spawn(core, c=body(writers, lock.write()), d=body(writers, lock.write()))
        return readers, writers

    ends = [on_bare(build, seed)[1] for seed in range(60)]
    return max(readers.most for readers, _ in ends), max(writers.most for _, writers in ends)


def test_readers_share_a_semaphore_and_writers_do_not() -> None:
    assert crowd() == (2, 1)


def test_only_one_thread_is_inside_a_mutex() -> None:
    most = 0
    for seed in range(40):
        core = BareRuntime(Seeded(seed))
        outer, other = Mutex(core, "outer"), Mutex(core, "other")
        inside = Inside()

        async def body(outer: Mutex = outer, other: Mutex = other, inside: Inside = inside) -> None:
            for _ in range(3):
                async with outer:
                    with inside:
                        async with other:
                            pass

        spawn(core, a=body(), b=body(), c=body())
        core.run()
        most = max(most, inside.most)
    assert most == 1


def test_ready_means_able_to_make_a_step() -> None:
    core = bare("a", "a", "b")
    lock = Mutex(core, "lock")
    seen: list[list[str]] = []

    async def body() -> None:
        async with lock:
            seen.append([t.name for t in core.ready])

    spawn(core, a=body(), b=body())
    core.run()
    assert seen == [["a", "b"], ["b"]]
    core = bare("a", "b", "a", "a")
    lock = Mutex(core, "lock")
    waiting: list[list[str]] = []

    async def looking() -> None:
        async with lock:
            waiting.append([t.name for t in core.ready])
            async with Mutex(core, "pause"):
                waiting.append([t.name for t in core.ready])

    spawn(core, a=looking(), b=looking())
    core.run()
    assert waiting[0] == ["a"], "b stands at the lock that a has just taken"


def test_a_release_by_somebody_else_is_a_mistake_of_ours() -> None:
    for release in ("mutex", "read", "write"):
        core = bare()
        mutex, sem = Mutex(core, "lock"), RwSem(core, "lock")
        lock = {"mutex": mutex, "read": sem.read(), "write": sem.write()}[release]

        async def body(lock: object = lock) -> None:
            await lock.release()  # type: ignore[attr-defined]

        spawn(core, thief=body())
        with pytest.raises(EmulatorError, match="thief releases lock, which it does not hold"):
            core.run()


def test_a_reader_cannot_give_back_the_writers_side() -> None:
    core = bare()
    sem = RwSem(core, "sem")

    async def body() -> None:
        async with sem.read():
            await sem.write().release()

    spawn(core, reader=body())
    with pytest.raises(EmulatorError, match="does not hold"):
        core.run()


def test_a_deadlock_says_who_holds_what() -> None:
    core = bare("a", "a", "b", "b", "a", "b")
    one, two = Mutex(core, "one"), RwSem(core, "two")

    async def forward() -> None:
        async with one, two.write():
            pass

    async def backward() -> None:
        async with two.read(), one:
            pass

    spawn(core, a=forward(), b=backward())
    with pytest.raises(Deadlock) as caught:
        core.run()
    assert caught.value.waits == (("a", "two", "b"), ("b", "one", "a"))
    assert str(caught.value) == "a waits for two, held by b; b waits for one, held by a"


def test_taking_a_mutex_twice_is_a_deadlock_with_oneself() -> None:
    core = bare()
    lock = Mutex(core, "lock")

    async def body() -> None:
        async with lock, lock:
            pass

    spawn(core, qemu=body())
    with pytest.raises(Deadlock, match="qemu waits for lock, held by qemu"):
        core.run()


def test_an_oops_leaves_the_lock_held_by_the_dead() -> None:
    core = bare("a", "a")
    lock, sem = Mutex(core, "lock"), RwSem(core, "sem")
    oopses: list[str] = []
    core.on_oops = lambda thread, oops: oopses.append(f"{thread.name}: {oops}")

    async def crashing() -> None:
        async with lock, sem.read():
            raise KernelOops("NULL dereference", "tce_iommu_clear")

    async def waiting(what: Guard) -> None:
        async with what.write() if isinstance(what, RwSem) else what:  # type: ignore[attr-defined]
            pass

    (dead,) = spawn(core, a=crashing())
    core.run(dead)
    spawn(core, b=waiting(lock), c=waiting(sem))
    with pytest.raises(Deadlock) as caught:
        core.run()
    assert caught.value.waits == (("b", "lock", "a (dead)"), ("c", "sem", "a (dead)"))
    assert oopses == ["a: NULL dereference in tce_iommu_clear"]
    assert [op.object for op in dead.held] == ["lock", "sem"]


def test_another_error_gives_the_locks_back() -> None:
    core = bare()
    lock = Mutex(core, "lock")

    async def body() -> None:
        try:
            async with lock:
                raise ValueError("ours")
        except ValueError:
            assert lock.owner is None

    threads = spawn(core, a=body())
    core.run()
    assert core.result(threads[0]) is None


def test_a_completion_lets_everyone_through_now_and_later() -> None:
    def build(core: Core) -> list[str]:
        done, order = Completion(core, "done", "maker"), list[str]()

        async def waiter(name: str) -> None:
            await done.wait()
            order.append(name)

        async def maker() -> None:
            order.append("made")
            done.complete()

        spawn(core, a=waiter("a"), b=waiter("b"), maker=maker(), c=waiter("c"))
        return order

    for seed in range(30):
        _, order = on_bare(build, seed)
        assert order[0] == "made"
        assert sorted(order) == ["a", "b", "c", "made"]


def test_who_waits_for_a_completion_says_who_should_make_it() -> None:
    core = bare()
    done = Completion(core, "device ready", "irq")

    async def waiter() -> None:
        await done.wait()

    spawn(core, qemu=waiter())
    with pytest.raises(Deadlock, match="qemu waits for device ready, held by irq"):
        core.run()


def test_every_use_of_a_lock_is_two_points_and_watched() -> None:
    core = bare()
    lock, sem = Mutex(core, "lock"), RwSem(core, "sem")
    watched: list[tuple[str, str, str]] = []
    core.lock_watch = lambda thread, name, mode: watched.append((thread.name, name, mode))

    async def body() -> None:
        async with lock, sem.read():
            pass
        async with sem.write():
            pass

    spawn(core, a=body())
    core.run()
    assert [line.removeprefix("a: ") for line in trace(core)[1:]] == [
        "lock lock acquire", "lock sem read", "lock sem read-release", "lock lock release", "lock sem write",
        "lock sem write-release",
    ]  # fmt: skip
    assert watched == [("a", "lock", "write"), ("a", "sem", "read"), ("a", "sem", "write")]
