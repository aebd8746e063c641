"""The list of failure points is that of the kernel text, and of what the defects need."""

from __future__ import annotations

import ast
from pathlib import Path

import actors.kernel
from actors.kernel.catalogue import piece_names
from actors.kernel.failpoints import FAILPOINTS

KERNEL = Path(actors.kernel.__file__).parent


def asked_for() -> set[str]:
    """Names that some module of the kernel asks ``core.fails`` about."""
    names: set[str] = set()
    for path in KERNEL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "fails"
            ):
                constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                names |= {value for value in constants if isinstance(value, str)}
    return names


def test_every_failure_point_is_listed() -> None:
    assert asked_for() == set(FAILPOINTS)


def test_defects_need_failure_points_that_exist() -> None:
    assert {name for piece in piece_names().values() for name in piece.failpoints} <= set(FAILPOINTS)
