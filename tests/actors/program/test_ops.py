"""The two tables agree with each other and with `Step`."""

from __future__ import annotations

import pytest

from actors.program import OPS, Address, Step, allowed_results, arguments, read_step, regions_of
from actors.program.ops import FIELDS

REGIONS = {"M0": 1 << 40}


def test_every_field_is_an_attribute_of_step_and_has_a_reader() -> None:
    used = {field for spec in OPS.values() for field in spec.fields}
    assert used == set(FIELDS)
    assert used < set(Step.__struct_fields__)


def test_arguments_resolve_and_fill_in() -> None:
    step = read_step({"op": "map", "actor": 0, "fd": "C0", "vaddr": "M0+1P", "iova": "2P", "size": "1P"})
    assert arguments(step, REGIONS, 4096) == {
        "fd": "C0",
        "vaddr": (1 << 40) + 4096,
        "iova": 8192,
        "size": 4096,
        "argsz": 32,
        "flags": 3,
        "bad_user_pointer": False,
    }


@pytest.mark.parametrize(
    ("op", "argsz"),
    [
        ("status", 8),
        ("info", 32),
        ("map", 32),
        ("unmap", 24),
        ("reg", 24),
        ("unreg", 24),
        ("create", 40),
        ("remove", 16),
        ("eeh", 12),
    ],
)
def test_usual_argsz(op: str, argsz: int) -> None:
    assert OPS[op].optional["argsz"] == argsz


@pytest.mark.parametrize(("eeh_op", "argsz"), [(0, 12), (8, 12), (9, 40)])
def test_eeh_argsz_depends_on_the_operation(eeh_op: int, argsz: int) -> None:
    assert arguments(Step("eeh", fd="C0", eeh_op=eeh_op), {}, 4096)["argsz"] == argsz


def test_what_is_passed_is_not_replaced() -> None:
    assert arguments(Step("info", fd="C0", argsz=0, flags=7), {}, 4096)["argsz"] == 0


def test_rlim_infinity_is_all_ones() -> None:
    assert read_step({"op": "rlimit", "limit": "RLIM_INFINITY"}).limit == Address(None, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [
        ({}, None),
        ({"ret": None, "errno": None}, None),
        ({"ret": 0}, {0}),
        ({"ret": [0, -16]}, {0, -16}),
        ({"errno": "EBUSY"}, {-16}),
        ({"ret": 0, "errno": ["EBUSY", 12]}, {0, -16, -12}),
    ],
)
def test_allowed_results(keys: dict[str, object], allowed: set[int] | None) -> None:
    assert allowed_results(read_step({"op": "exit", **keys})) == allowed


def test_regions_of_steps_in_order_of_first_mention() -> None:
    steps = (
        Step("touch", addr=Address("M1")),
        Step("reg", vaddr=Address("M0")),
        Step("munmap", addr=Address("M1")),
    )
    assert regions_of(steps) == ("M1", "M0")
