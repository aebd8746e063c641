from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from actors.runtime.actor import Actor
from actors.runtime.bare import BareRuntime
from actors.runtime.cells import Counter
from actors.runtime.core import Core
from actors.runtime.errors import EmulatorError, ForeignAwait, KernelOops, Livelock, TaskKilled
from actors.runtime.messages import Request
from actors.runtime.ops import KINDS, Op, call
from actors.runtime.sync import Mutex
from tests.actors.runtime.lab import Scripted, Seeded, bare, on_bare, spawn, trace


class Ask(Request[int], frozen=True):
    serves: ClassVar[str] = "ask"
    how: str
    deeper: str = ""


class Server(Actor):
    """Answers, crashes, or asks another server first."""

    kind = "server"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.lock = Mutex(core, f"{self.id}.lock")
        self.served = Counter(core, f"{self.id}.served")

    async def ask(self, how: str, deeper: str) -> int:
        async with self.lock:
            if deeper:
                return await call(deeper, Ask(how)) + 1
            if how == "oops":
                raise KernelOops("BUG", "ask")
            if how == "killed":
                raise TaskKilled("qemu")
            if how == "bug":
                raise ZeroDivisionError("ours")
            return await self.served.add(1)


def asking(how: str) -> tuple[BareRuntime, list[Server], list[str]]:
    core = bare()
    servers = [Server(core), Server(core)]
    log: list[str] = []

    async def client() -> int:
        try:
            return await call("server:0", Ask(how, "server:1"))
        except (KernelOops, TaskKilled) as problem:
            log.append(type(problem).__name__)
            raise

    spawn(core, client=client())
    return core, servers, log


def test_a_thread_follows_its_requests_and_the_reply_comes_back() -> None:
    core, _, _ = asking("please")
    thread = next(iter(core.threads.values()))
    core.run()
    assert core.result(thread) == 2
    assert trace(core) == [
        "client: thread thread:client write", "client: message server:0 read",
        "client: lock server:0.lock acquire", "client: message server:1 read",
        "client: lock server:1.lock acquire", "client: counter server:1.served write",
        "client: lock server:1.lock release", "client: lock server:0.lock release",
    ]  # fmt: skip


def test_an_oops_is_thrown_into_every_caller_in_turn_and_told_once() -> None:
    core, servers, log = asking("oops")
    told: list[str] = []
    core.on_oops = lambda thread, oops: told.append(f"{thread.name} in {oops.place}")
    thread = next(iter(core.threads.values()))
    core.run()
    assert log == ["KernelOops"]
    assert told == ["client in ask"]
    assert [s.lock.owner for s in servers] == [thread, thread], "what a dead task holds stays held"
    with pytest.raises(KernelOops, match="BUG in ask"):
        core.result(thread)


def test_a_killed_task_gives_its_locks_back_on_the_way_out() -> None:
    core, servers, log = asking("killed")
    core.run()
    assert log == ["TaskKilled"]
    assert [s.lock.owner for s in servers] == [None, None]


def test_a_mistake_of_ours_ends_the_run_and_says_where() -> None:
    core, _, _ = asking("bug")
    with pytest.raises(ZeroDivisionError) as caught:
        core.run()
    assert caught.value.__notes__ == ["in thread client at server:1 Server.ask"]


def test_a_request_to_nobody_is_a_mistake_of_ours() -> None:
    core = bare()

    async def client() -> None:
        await call("mm:7", Ask("x"))

    spawn(core, client=client())
    with pytest.raises(EmulatorError, match=r"client sends Ask.* to mm:7: no such actor"):
        core.run()


def test_a_foreign_await_is_named_and_cleaned_up_after() -> None:
    core, log = bare(), list[str]()

    async def scenario() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            log.append("cleaned up")

    spawn(core, qemu=scenario())
    with pytest.raises(ForeignAwait, match=r"thread qemu awaits None at actor:0 .*scenario") as caught:
        core.run()
    assert caught.value.thread == "qemu"
    assert log == ["cleaned up"]


def test_a_run_without_end_says_who_goes_round_in_what() -> None:
    core = bare(budget=500)
    a, b, done = Counter(core, "a"), Counter(core, "b"), Counter(core, "done")

    async def spinning() -> None:
        while not await done.get():
            await a.add(1)
            await b.add(1)

    async def short() -> None:
        await b.add(1)

    spawn(core, spinner=spinning(), short=short())
    with pytest.raises(Livelock, match="no end after 500 steps; spinner goes round in") as caught:
        core.run()
    assert set(caught.value.recent) == {"a", "b", "done"}


def test_the_budget_is_for_each_run() -> None:
    core = BareRuntime(Seeded(0), budget=50)
    counter = Counter(core, "x")

    async def body() -> None:
        for _ in range(30):
            await counter.add(1)

    for name in ("a", "b", "c"):
        core.run(core.spawn(Actor(core), body(), name))
    assert counter.value == 90


def test_daemons_may_wait_for_ever() -> None:
    core = bare()
    lock = Mutex(core, "work")

    async def kthread() -> None:
        async with lock, lock:
            pass

    core.spawn(Actor(core), kthread(), "kworker/0", daemon=True)
    core.run()
    assert [t.name for t in core.threads.values()] == ["kworker/0"]


def test_a_run_until_one_thread_ends_leaves_the_others_where_they_are() -> None:
    core = bare("b", "b", "b")
    counter = Counter(core, "x")

    async def body() -> None:
        await counter.add(1)

    threads = spawn(core, a=body(), b=body())
    core.run(threads[1])
    assert (threads[0].finished, threads[1].finished, counter.value) == (False, True, 1)
    with pytest.raises(EmulatorError, match="a has not ended"):
        core.result(threads[0])


@pytest.mark.parametrize("kind", ["counter", "lock", "message"])
def test_muting_a_class_of_points_takes_away_its_decisions_and_nothing_else(kind: str) -> None:
    def build(core: Core) -> list[Any]:
        server = Server(core)

        async def client() -> int:
            return await call(server.id, Ask("please"))

        return [server, spawn(core, a=client(), b=client(), c=client())]

    def muted(core: Core) -> list[Any]:
        core.muted = frozenset({kind})
        return build(core)

    for seed in range(40):
        loud, _ = on_bare(build, seed)
        quiet, (server, threads) = on_bare(muted, seed)
        assert sorted(t.result for t in threads) == [1, 2, 3]
        assert server.lock.owner is None
        heard = [op for _, op in quiet.log if op is not None and op.kind == kind]
        assert all(op.guard is not None for op in heard), "only who had to wait is asked again"
        assert len(quiet.log) < len(loud.log)


def test_a_muted_lock_still_excludes() -> None:
    core = BareRuntime(Scripted("a", "a", "b", "b", "b"), keep_log=True)
    core.muted = frozenset({"lock"})
    lock, counter = Mutex(core, "lock"), Counter(core, "x")
    order: list[str] = []

    async def body(name: str) -> None:
        async with lock:
            order.append(f"+{name}")
            await counter.add(1)
            order.append(f"-{name}")

    spawn(core, a=body("a"), b=body("b"))
    core.run()
    assert order in (["+a", "-a", "+b", "-b"], ["+b", "-b", "+a", "-a"])


def test_option_zero_is_calm() -> None:
    core = BareRuntime(keep_log=True)
    counter = Counter(core, "x")

    async def body() -> None:
        for _ in range(3):
            await counter.add(1)

    spawn(core, a=body(), b=body())
    core.run()
    assert [t.name for t, _ in core.log] == ["a"] * 4 + ["b"] * 4
    assert core.choose("fault", 3) == 0


def test_a_choice_of_one_is_no_choice() -> None:
    chooser = Seeded(1)
    core = BareRuntime(chooser)
    assert core.choose("task_work", 1) == 0
    assert chooser.choices == []


def test_operations_depend_when_one_writes_what_the_other_touches() -> None:
    read, write = Op("slot", "t[1]", False, within="t"), Op("slot", "t[1]", True, within="t")
    scan, other = Op("slot", "t", False), Op("slot", "t[2]", True, within="t")
    assert write.depends_on(read)
    assert write.depends_on(scan)
    assert scan.depends_on(write)
    assert not read.depends_on(scan)
    assert not write.depends_on(other)
    assert not read.depends_on(read)


def test_every_kind_of_point_is_listed_once() -> None:
    assert len(set(KINDS)) == len(KINDS)
