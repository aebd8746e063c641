"""The EEH state machine of a PE as data: what each recovery operation does in each state.

The real thing is firmware that isolates a PE on an error and lets the kernel, on a client's request, bring it
back: enable MMIO, enable DMA, or reset. The numbers are those of the VFIO interface.

Simplified: operations take no time, and a reset never fails. States that no recorded client drove (an
unfreeze out of order, a deactivated reset that was not asserted) leave the state as it is and return 0.
"""

from __future__ import annotations

from enum import IntEnum

EIO = 5
EINVAL = 22


class PeState(IntEnum):
    """State of a PE, numbered as VFIO_EEH_PE_GET_STATE answers."""

    NORMAL = 0
    RESET = 1
    STOPPED = 2
    STOPPED_DMA = 4
    UNAVAILABLE = 5


class EehOp(IntEnum):
    """Operations, numbered as VFIO_EEH_PE_*."""

    DISABLE = 0
    ENABLE = 1
    UNFREEZE_IO = 2
    UNFREEZE_DMA = 3
    GET_STATE = 4
    RESET_DEACTIVATE = 5
    RESET_HOT = 6
    RESET_FUNDAMENTAL = 7
    CONFIGURE = 8
    INJECT_ERROR = 9


def _stay(state: PeState) -> dict[int, tuple[PeState, int]]:
    """Return a row in which nothing moves but resets, which work from every state."""
    row: dict[int, tuple[PeState, int]] = dict.fromkeys(EehOp, (state, 0))
    row[EehOp.GET_STATE] = (state, int(state))
    row[EehOp.INJECT_ERROR] = (state, -EIO)
    row[EehOp.RESET_HOT] = row[EehOp.RESET_FUNDAMENTAL] = (PeState.RESET, 0)
    return row


TRANSITIONS: dict[PeState, dict[int, tuple[PeState, int]]] = {
    PeState.NORMAL: _stay(PeState.NORMAL),
    PeState.RESET: _stay(PeState.RESET) | {EehOp.RESET_DEACTIVATE: (PeState.NORMAL, 0)},
    PeState.STOPPED: _stay(PeState.STOPPED) | {EehOp.UNFREEZE_IO: (PeState.STOPPED_DMA, 0)},
    PeState.STOPPED_DMA: _stay(PeState.STOPPED_DMA) | {EehOp.UNFREEZE_DMA: (PeState.NORMAL, 0)},
    PeState.UNAVAILABLE: _stay(PeState.UNAVAILABLE),
}
"""State -> operation -> (next state, result)."""

_FREEZES: dict[PeState, PeState] = {
    PeState.NORMAL: PeState.STOPPED,
    PeState.RESET: PeState.RESET,
    PeState.STOPPED: PeState.STOPPED,
    PeState.STOPPED_DMA: PeState.STOPPED,
    PeState.UNAVAILABLE: PeState.UNAVAILABLE,
}


def freeze_state(state: PeState) -> PeState:
    """Return the state after a fault: MMIO and DMA stopped, unless in reset or gone for good."""
    return _FREEZES[state]
