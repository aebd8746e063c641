"""Error recovery: what a PE does when it is asked, and when its device runs into something."""

from __future__ import annotations

import struct
from errno import EFAULT, EINVAL, EIO

NORMAL, RESET, STOPPED, STOPPED_DMA = 0, 1, 2, 4
UNFREEZE_IO, UNFREEZE_DMA, GET_STATE, DEACTIVATE, HOT, FUNDAMENTAL, INJECT = 2, 3, 4, 5, 6, 7, 9
FROZEN = "frozen"
"""What a device runs into whose PE is not in order."""


def operation(now: int, data: bytes | None) -> tuple[int, int]:
    """One operation on a PE, as recorded from a guest's recovery.

    Args:
        now: the state of the PE.
        data: the argument.

    Returns:
        The state after it, and its answer.
    """
    if data is None or len(data) < 12:
        return now, -EFAULT
    argsz, flags, op = struct.unpack_from("<III", data)
    if argsz < 12 or flags or op > INJECT or (op == INJECT and argsz < 40):
        return now, -EINVAL
    if op == INJECT:
        return now, -EFAULT if len(data) < 40 else -EIO
    if op == GET_STATE:
        return now, now
    moves = {
        (UNFREEZE_IO, STOPPED): STOPPED_DMA, (UNFREEZE_DMA, STOPPED_DMA): NORMAL, (DEACTIVATE, RESET): NORMAL,
        (HOT, now): RESET, (FUNDAMENTAL, now): RESET,
    }  # fmt: skip
    return moves.get((op, now), now), 0


def access(now: int, moved: int, fault: str | None) -> int | None:
    """A device's access that moved so many bytes, up to a fault if there was one.

    Returns:
        The state of the PE after it, None when nothing of the sort happens in the state ``now``.
    """
    if fault is None:
        return now if now == NORMAL or not moved else None
    if (fault == FROZEN) != (now != NORMAL):
        return None
    return RESET if now == RESET else STOPPED
