"""Exploring beside other tasks of a trio program: the async twin of ``explore``."""

from __future__ import annotations

from typing import Unpack

import trio

from actors.explore.client import KilledClient
from actors.explore.explore import DEFAULT_SCHEDULES, How, campaign_on
from actors.explore.result import Report
from actors.explore.run import Model
from actors.explore.strategies import Strategy
from actors.kernel.composition import Kernel
from actors.machine import Scenario
from actors.program import Program

SLICE = 8
"""Orders after which other tasks have their turn."""


async def explore_async(
    subject: Program | Scenario | KilledClient | Model,
    kernel: Kernel | str = "fixed",
    strategy: Strategy | str | None = None,
    schedules: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    **how: Unpack[How],
) -> Report:
    """Explore, and let other tasks have their turns; the same report as that of ``explore``.

    Args, and what is raised, are those of :func:`actors.explore.explore.explore`. Time that other tasks
    take does not count as ``seconds``.

    Raises:
        trio.Cancelled: what was found so far is lost; hold a ``Campaign`` where that matters.
    """
    campaign = campaign_on(subject, kernel, strategy, seed, **how)
    most = schedules if schedules is not None or seconds is not None else DEFAULT_SCHEDULES
    while not campaign.done(most):
        left = None if seconds is None else seconds - campaign.seconds
        if left is not None and left <= 0:
            break
        slice_end = campaign.orders + SLICE
        campaign.go_on(slice_end if most is None else min(slice_end, most), left)
        await trio.lowlevel.checkpoint()
    return campaign.shown(campaign.report())


__all__ = ["explore_async"]
