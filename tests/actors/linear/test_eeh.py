"""PEs that a device's fault froze: the model knows of it, whenever it happened."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from actors.explore import explore
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Piece
from actors.kernel.group import Group
from actors.linear import Answer, Call, History, Model, Operation, Rules, State, check
from actors.program import parse_program
from hw.eeh import EehOp, PeState

UNFREEZE_IO, UNFREEZE_DMA, GET_STATE = 2, 3, 4
NORMAL, STOPPED, STOPPED_DMA = 0, 2, 4
RULES = Rules(groups=2)


def ioctl(fd: int, nr: int, data: bytes | None = None, number: int | None = None) -> Operation:
    return Operation("p", "ioctl", (fd, nr, number, data))


def eeh(op: int) -> Operation:
    """EEH_PE_OP of the container."""
    return ioctl(3, 21, struct.pack("<III", 12, 0, op))


def dma(group: int, moved: int, fault: str | None) -> Operation:
    return Operation(f"group:{group}", "dma", (group, moved, fault))


def two_groups() -> State:
    """One container with both groups of a machine; group 1 is asked first, since it came last."""
    model = Model(RULES, alone=True)
    state = model.initial()
    for op in (
        Operation("p", "spawn"),
        Operation("p", "open", ("/dev/vfio/vfio",)),
        *(Operation("p", "open", (f"/dev/vfio/{index}",)) for index in range(2)),
        *(ioctl(4 + index, 4, struct.pack("<i", 3)) for index in range(2)),
        ioctl(3, 2, number=7),
    ):
        state, _ = model.step(state, op)
    return state


READY = two_groups()


def judged(*calls: tuple[Operation, int, int, int]) -> str:
    """What is said of calls with beginnings, ends and results; "" when an order explains them."""
    made = [
        Call(n, f"t{n}", op, began, ended, Answer(ret, op.args[3] if op.call == "ioctl" else None), [began])
        for n, (op, began, ended, ret) in enumerate(calls)
    ]
    verdict = check(History(RULES, frozenset({READY}), made))
    assert verdict.ok is not None
    return verdict.message


FAULT, FROZEN, MOVED = dma(0, 0, "no TCE"), dma(0, 0, "frozen"), dma(0, 4096, None)


def test_a_fault_freezes_its_group_until_it_is_mended() -> None:
    assert judged((FAULT, 0, 1, 0), (eeh(GET_STATE), 2, 3, STOPPED), (FROZEN, 4, 5, 0)) == ""
    mended = ((FAULT, 0, 1, 0), (eeh(UNFREEZE_IO), 2, 3, 0), (eeh(UNFREEZE_DMA), 4, 5, 0))
    assert judged(*mended, (MOVED, 6, 7, 4096), (eeh(GET_STATE), 8, 9, NORMAL)) == ""


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (((FAULT, 0, 1, 0), (eeh(GET_STATE), 2, 3, NORMAL)), "returned 0; the orders allow 2"),
        (
            ((FAULT, 0, 1, 0), (MOVED, 2, 3, 4096)),
            "DMA of group 0 of t1 moved 4,096 bytes; in every order the PE is frozen by then",
        ),
        (((FROZEN, 0, 1, 0),), "DMA of group 0 of t0 moved 0 bytes: frozen; in no order the PE is frozen"),
        (((FAULT, 0, 1, 0), (dma(0, 0, "no TCE"), 2, 3, 0)), "in every order the PE is frozen by then"),
    ],
)
def test_what_cannot_be(calls: tuple[Any, ...], said: str) -> None:
    assert said in judged(*calls)


def test_a_fault_beside_the_question_may_come_before_or_after_it() -> None:
    for state in (NORMAL, STOPPED):
        assert judged((FAULT, 0, 3, 0), (eeh(GET_STATE), 1, 2, state)) == ""
    assert judged((FAULT, 0, 3, 0), (eeh(GET_STATE), 1, 2, STOPPED_DMA)) != ""


def test_groups_are_asked_one_after_another() -> None:
    """Group 1 is mended, faults again, and only then is it group 0's turn, which has faulted before."""
    again = dma(1, 0, "no TCE")
    assert judged(
        (again, 0, 1, 0), (eeh(UNFREEZE_IO), 2, 9, 0), (dma(1, 0, "frozen"), 3, 4, 0), (FAULT, 5, 6, 0),
        (eeh(GET_STATE), 10, 11, STOPPED), (eeh(UNFREEZE_IO), 12, 13, 0), (eeh(UNFREEZE_DMA), 14, 15, 0),
        (eeh(GET_STATE), 16, 17, NORMAL),
    ) == ""  # fmt: skip


SETUP = [
    {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C"},
    {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G"},
    {"actor": 0, "op": "setcont", "fd": "G", "container": "C"},
    {"actor": 0, "op": "setiommu", "fd": "C", "iommu_type": 7},
    {"op": "dma", "group": 0, "iova": 4096, "size": 4096},
]
PROGRAM = parse_program(
    {
        "format": "tcemu-program", "version": 1, "name": "frozen before it begins", "setup": SETUP,
        "threads": [
            {"name": "asks", "actor": 0, "steps": [{"op": "eeh", "fd": "C", "eeh_op": GET_STATE}]},
            {
                "name": "mends", "actor": 0,
                "steps": [{"op": "eeh", "fd": "C", "eeh_op": op} for op in (UNFREEZE_IO, UNFREEZE_DMA)],
            },
            {"name": "device", "actor": 0, "steps": [{"op": "dma", "group": 0, "iova": 8192, "size": 64}]},
        ],
    }
)  # fmt: skip


class Melting(Piece):
    """To let MMIO through again lets everything through."""

    slug = "melting"

    class group(Group):
        async def eeh_pe_op(self, op: int) -> int:
            ret = await super().eeh_pe_op(op)
            if op == EehOp.UNFREEZE_IO:
                self.pe.state = PeState.NORMAL
            return ret


def test_a_pe_that_the_setup_froze_is_explained() -> None:
    report = explore(PROGRAM, "fixed", "random", schedules=120, linear=True)
    assert (report.verdict, report.findings) == ("ok", ()), report.message


def test_a_kernel_that_mends_too_much_is_given_away() -> None:
    kernel = find_kernel("fixed").with_piece(Melting)
    report = explore(PROGRAM, kernel, "pct", schedules=120, linear=True)
    assert (report.verdict, report.invariant) == ("violation", "linearizability")
