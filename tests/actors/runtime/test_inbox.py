from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.runtime.inbox import Inbox
from actors.runtime.thread import Thread


async def test_threads_come_out_in_the_order_in_which_they_arrived() -> None:
    inbox = Inbox(3)
    threads = [Thread(i, f"t{i}") for i in range(3)]
    for thread in threads:
        inbox.send(thread)
    assert [await inbox.receive() for _ in threads] == threads


async def test_a_waiting_receiver_is_woken() -> None:
    inbox, seen = Inbox(1), list[Thread]()

    async def receiver() -> None:
        seen.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await wait_all_tasks_blocked()
        inbox.send(Thread(7, "late"))
    assert [t.index for t in seen] == [7]


def test_the_bound_is_respected() -> None:
    inbox = Inbox(2)
    inbox.send(Thread(0, "a"))
    inbox.send(Thread(1, "b"))
    with pytest.raises(trio.WouldBlock):
        inbox.send(Thread(2, "c"))
    assert len(inbox) == 2


def test_nothing_is_sent_to_who_is_gone() -> None:
    inbox = Inbox(2)
    inbox.close()
    with pytest.raises(trio.BrokenResourceError):
        inbox.send(Thread(0, "a"))


async def test_a_cancelled_receiver_loses_nothing() -> None:
    inbox = Inbox(2)
    with trio.move_on_after(0):
        await inbox.receive()
    inbox.send(Thread(0, "a"))
    assert (await inbox.receive()).index == 0


async def test_a_receiver_that_must_stay_leaves_when_it_is_let_go() -> None:
    asked: list[Inbox] = []
    staying = True

    def may_leave(inbox: Inbox) -> bool:
        asked.append(inbox)
        return not staying

    inbox, left = Inbox(2, may_leave), list[bool]()

    async def receiver(scope: trio.CancelScope) -> None:
        with scope:
            await inbox.receive()
            await inbox.receive()
        left.append(scope.cancelled_caught)

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(receiver, scope)
        await wait_all_tasks_blocked()
        scope.cancel()
        inbox.send(Thread(0, "a"))
        await wait_all_tasks_blocked()
        assert asked == [inbox, inbox]
        assert left == []
        staying = False
        inbox.wake()
    assert left == [True]
