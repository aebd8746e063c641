"""Switching a piece on changes the runs that reach its text, and no other run."""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any

import pytest

from actors.explore import prepare
from actors.explore.explore import Campaign
from actors.explore.scenarios import builtin
from actors.explore.strategies import find_strategy
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import PARTS, Kernel, Piece
from actors.program import Program
from actors.runtime.core import Calm

SCENARIOS = (
    "close-orders", "register-twice", "map-vs-remove", "v1-enable-map-disable", "fork-then-parent-exits",
    "attach-second-group", "exec-keeps-descriptors", "unset-and-set-again",
)  # fmt: skip


def codes_of(piece: type[Piece]) -> set[CodeType]:
    """The code that a piece puts in place of the kernel text."""
    parts = [vars(piece)[part] for part in PARTS if part in vars(piece)]
    return {body.__code__ for part in parts for body in vars(part).values() if hasattr(body, "__code__")}


def calm(program: Program, kernel: Kernel) -> tuple[str, str, str]:
    """Digest, verdict and message of the calm order."""
    campaign = Campaign(prepare(program, kernel), find_strategy("random", 0))
    result, digest = campaign.recorded(Calm())
    return digest, result.verdict, result.message


def reached(program: Program, kernel: Kernel, codes: set[CodeType]) -> tuple[bool, tuple[str, str, str]]:
    """Whether a run enters any of ``codes``, and what it came to."""
    entered = False

    def watch(frame: FrameType, event: str, _: Any) -> None:
        nonlocal entered
        entered = entered or frame.f_code in codes

    sys.setprofile(watch)
    try:
        outcome = calm(program, kernel)
    finally:
        sys.setprofile(None)
    return entered, outcome


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_piece_that_is_not_reached_changes_nothing(name: str) -> None:
    program = builtin(name)
    plain = calm(program, find_kernel("fixed"))
    untouched = 0
    for slug, piece in piece_names().items():
        touched, outcome = reached(program, find_kernel("fixed", [slug]), codes_of(piece))
        if not touched:
            untouched += 1
            assert outcome == plain, slug
    assert untouched > 10


def test_a_piece_that_is_reached_shows() -> None:
    program = builtin("register-twice")
    touched, outcome = reached(
        program, find_kernel("fixed", ["unbalanced-put"]), codes_of(piece_names()["unbalanced-put"])
    )
    assert touched
    assert outcome != calm(program, find_kernel("fixed"))
