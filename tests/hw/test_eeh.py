import pytest

from hw import Pe, Phb, PhysicalMemory
from hw.eeh import TRANSITIONS, EehOp, PeState, freeze_state


def make() -> Pe:
    return Pe(1, Phb(0, "PHB4"), PhysicalMemory(1 << 30, 65536))


def test_every_state_answers_every_operation() -> None:
    assert set(TRANSITIONS) == set(PeState)
    assert all(set(row) == set(EehOp) for row in TRANSITIONS.values())


def test_the_recovery_a_guest_does() -> None:
    pe = make()
    pe.freeze()
    ops = [4, 4, 4, 2, 4, 8, 6, 5, 4, 8, 1]
    assert [pe.eeh(op) for op in ops] == [2, 2, 2, 0, 4, 0, 0, 0, 0, 0, 0]
    assert pe.state is PeState.NORMAL


def test_recovery_without_reset() -> None:
    pe = make()
    pe.freeze()
    assert [pe.eeh(op) for op in (3, 4, 2, 3, 4)] == [0, 2, 0, 0, 0]


@pytest.mark.parametrize("state", list(PeState))
def test_facts_of_any_state(state: PeState) -> None:
    for op in (EehOp.CONFIGURE, EehOp.DISABLE, EehOp.ENABLE):
        assert TRANSITIONS[state][op] == (state, 0)
    for op in (EehOp.RESET_HOT, EehOp.RESET_FUNDAMENTAL):
        assert TRANSITIONS[state][op] == (PeState.RESET, 0)
    assert TRANSITIONS[state][EehOp.GET_STATE] == (state, int(state))
    assert TRANSITIONS[state][EehOp.INJECT_ERROR] == (state, -5)


@pytest.mark.parametrize("op", [10, -1, 1 << 32])
def test_unknown_operations(op: int) -> None:
    assert make().eeh(op) == -22


def test_what_a_fault_freezes() -> None:
    assert [freeze_state(state) for state in PeState] == [2, 1, 2, 2, 5]
