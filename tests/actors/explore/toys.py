"""Small models for the strategies: programs of reads, writes and a lock, and planted bugs."""

from __future__ import annotations

from actors.runtime.actor import Actor
from actors.runtime.cells import Cell
from actors.runtime.sync import Mutex
from tests.actors.explore.toy_model import ToyModel


class Box(Actor):
    kind = "box"


def r(name):
    return "r", name


def w(name):
    return "w", name


ACQUIRE, RELEASE = ("acquire", "L"), ("release", "L")


def program(*threads, trace=None):
    """Threads of operations on variables and one lock; ``trace`` gets, per order, what was read and left."""

    def build(core):
        box, lock, seen = Box(core), Mutex(core, "L"), []
        names = sorted({name for ops in threads for op, name in ops if op in "rw"})
        cells = {name: Cell(core, name, 0) for name in names}

        async def body(number, ops):
            for place, (op, name) in enumerate(ops):
                if op == "w":
                    await cells[name].set(100 * (number + 1) + place)
                elif op == "r":
                    seen.append((number, place, await cells[name].get()))
                elif op == "acquire":
                    await lock.acquire()
                else:
                    await lock.release()

        for number, ops in enumerate(threads):
            core.spawn(box, body(number, ops), f"t{number}")

        def check():
            if trace is not None:
                trace.append((tuple(sorted(seen)), tuple((n, cells[n].value) for n in names)))
            return ""

        return check

    return ToyModel(build)


def store_buffer():
    return program([w("x"), r("y")], [w("y"), r("x")])


def under_lock(before):
    """Register, unregister and teardown under one lock, with or without a shared write before it."""
    first = [w("s")] if before else []
    return program(*[[*first, ACQUIRE, w("list"), w("used"), w("mapped"), RELEASE]] * 3)


def far_order(noise=16):
    """One order far behind: the late thread must come first although it has much to do before."""

    def build(core):
        box, flag, state = Box(core), Cell(core, "flag", 0), {}
        busy = Cell(core, "noise", 0)

        async def early():
            state["seen"] = await flag.get()

        async def late():
            for n in range(noise):
                await busy.set(n)
            await flag.set(1)

        core.spawn(box, early(), "early")
        core.spawn(box, late(), "late")
        return lambda: "the flag was seen" if state["seen"] else ""

    return ToyModel(build, "far-order")


def lost_update(noise=4):
    """Two threads add one without a lock."""

    def build(core):
        box, count, busy = Box(core), Cell(core, "count", 0), Cell(core, "noise", 0)

        async def add():
            for _ in range(noise):
                await busy.get()
            value = await count.get()
            await count.set(value + 1)
            for _ in range(noise):
                await busy.get()

        core.spawn(box, add(), "a")
        core.spawn(box, add(), "b")
        return lambda: "an update was lost" if count.value != 2 else ""

    return ToyModel(build, "lost-update")


def lock_cycle():
    """Two locks taken in both orders."""

    def build(core):
        box, a, b = Box(core), Mutex(core, "A"), Mutex(core, "B")

        async def take(first, second):
            async with first, second:
                pass

        core.spawn(box, take(a, b), "ab")
        core.spawn(box, take(b, a), "ba")

    return ToyModel(build, "lock-cycle")


def tasks(count=5, points=20):
    """The bench: ``count`` threads of ``points`` reads of variables of their own."""

    def build(core):
        box = Box(core)

        async def body(cell):
            for _ in range(points):
                await cell.get()

        for n in range(count):
            core.spawn(box, body(Cell(core, f"c{n}", 0)), f"t{n}")

    return ToyModel(build, "tasks")
