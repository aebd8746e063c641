"""Exploring beside other tasks gives the same, lets them run, and can be cancelled."""

from __future__ import annotations

import trio
from msgspec import structs

from actors.explore import Report, explore, explore_async
from actors.explore.scenarios import builtin


def plain(report: Report) -> Report:
    return structs.replace(report, seconds=0.0)


async def test_it_finds_the_same() -> None:
    program = builtin("map-vs-unregister")
    for kernel in ("v6.12", "fixed"):
        there = await explore_async(program, kernel, "pct", schedules=20, seed=3)
        assert plain(there) == plain(explore(program, kernel, "pct", schedules=20, seed=3))


async def test_others_have_their_turns() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        report = await explore_async(builtin("map-vs-unregister"), "fixed", "random", schedules=40)
        nursery.cancel_scope.cancel()
    assert turns > 2
    assert report.schedules == 40


async def test_it_can_be_cancelled() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await explore_async(builtin("map-vs-unregister"), "fixed", "random", seconds=60)
    assert scope.cancelled_caught
