"""The table of reasons: every rule can be reached, and what has none is said to be unexplained."""

from __future__ import annotations

from actors.execute.play.blame import left_by
from actors.execute.play.reasons import RULES, UNEXPLAINED, why, why_out
from actors.kernel.catalogue import find_kernel, piece_names
from actors.program import OPS


def test_the_rules_name_operations_and_pieces_that_exist() -> None:
    for rule in RULES:
        assert set(rule.ops.split()) <= set(OPS)
        assert not rule.piece or rule.piece in piece_names()
        assert rule.words


def test_the_first_rule_that_fits_gives_the_reason() -> None:
    swallows = {"unregister-busy-swallowed"}
    assert why("unreg", -16, 0, {"mapped"}, swallows) == "unregister-busy-swallowed"
    assert why("unreg", -16, 0, {"mapped", "registered again"}, swallows) == "O.6"
    assert why("unreg", -16, 0, {"mapped"}, ()) == UNEXPLAINED
    assert why("unreg", -16, 0, {"not mapped"}, ()) == "B.7"
    assert why("map", 0, -6, {"no window"}, ()) == "B.8"
    assert why("api", 0, 1, (), ()) == UNEXPLAINED
    assert why_out("info", "flags", {"v1"}) == "B.3"
    assert why_out("info", "flags", ()) == UNEXPLAINED


def test_blame_takes_away_what_is_not_needed() -> None:
    kernel = find_kernel("v6.12")
    behind = {"lookup-uaf", "unregister-busy-swallowed"}
    assert left_by(kernel, 2, lambda other: len(behind & other.slugs)) == tuple(
        piece.slug for piece in kernel.pieces if piece.slug in behind
    )


def test_of_two_that_each_suffice_the_one_that_showed_is_blamed() -> None:
    kernel = find_kernel("v6.12")
    either = {"release-leaks-mapped-region", "unregister-busy-swallowed"}
    for shown in sorted(either):
        assert left_by(kernel, True, lambda other: bool(either & other.slugs), {shown}) == (shown,)


def test_a_difference_is_blamed_when_no_defect_is_behind() -> None:
    kernel = find_kernel("v4.19")
    difference = next(piece.slug for piece in kernel.pieces if not piece.defect)
    assert left_by(kernel, True, lambda other: difference in other.slugs) == (difference,)
