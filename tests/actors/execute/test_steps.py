"""Single steps: what names, paths and words of a step become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.execute.conform import replay
from actors.program import load_vectors

HEAD = {"format": "vfio-spapr-vectors", "version": 1, "generation": "v6.12", "page_size": 65536}


def answers(tmp_path: Path, *steps: dict[str, Any], **head: Any) -> list[Any]:
    """What differs from the answers that the steps of a vector expect."""
    usual = {"actor": 0, "ret": 0, "errno": None}
    vector = {"name": "v", "tag": "main", "steps": [usual | step for step in steps]}
    (tmp_path / "v.json").write_text(json.dumps({**HEAD, **head, "vectors": [vector]}))
    program = load_vectors(tmp_path / "v.json").programs[0]
    return [(each.step, each.field, each.actual) for each in replay(program, "v6.12").failures]


NOWHERE = ["/dev/vfio/999", "/dev/vfio/01", "/dev/vfio/\N{SUPERSCRIPT TWO}", "/tmp", ""]


@pytest.mark.parametrize("path", NOWHERE)
def test_what_is_not_there_cannot_be_opened(path: str, tmp_path: Path) -> None:
    assert answers(tmp_path, {"op": "open", "path": path, "fd": "X", "ret": -2}) == []


def test_a_group_by_its_number(tmp_path: Path) -> None:
    named = {"op": "open", "path": "/dev/vfio/1", "fd": "G1"}
    by_index = {"op": "open", "path": "/dev/vfio/<group>", "group_index": 1, "fd": "G2", "ret": -16}
    assert answers(tmp_path, named, by_index, {"op": "status", "fd": "G1"}) == []
    beyond = {"op": "open", "path": "/dev/vfio/<group>", "group_index": 2, "fd": "G2", "ret": -2}
    assert answers(tmp_path, beyond) == []


def test_no_protection_is_none(tmp_path: Path) -> None:
    mapped = {"op": "mmap", "addr": "M0", "size": 65536, "prot": "rw"}
    closed = {"op": "mprotect", "addr": "M0", "size": 65536, "prot": ""}
    touched = {"op": "touch", "addr": "M0", "size": 65536, "ret": -14}
    assert answers(tmp_path, mapped, closed, touched) == []


def test_recorded_machines_have_no_transparent_huge_pages(tmp_path: Path) -> None:
    """Memory whose owner asks for huge pages takes none from the pool."""
    everything = {
        "op": "mmap",
        "addr": "M1",
        "size": 4 << 24,
        "prot": "rw",
        "mmap_flags": ["huge"],
        "hshift": 24,
    }
    steps = (
        {"op": "mmap", "addr": "M0", "size": 2 << 24, "prot": "rw"},
        {"op": "madvise", "addr": "M0", "size": 2 << 24, "advice": "MADV_HUGEPAGE"},
        {"op": "touch", "addr": "M0", "size": 2 << 24},
        everything,
    )
    assert answers(tmp_path, *steps, mmu="hash", hugepages={"16M": 4}) == []


def test_unknown_advice(tmp_path: Path) -> None:
    mapped = {"op": "mmap", "addr": "M0", "size": 65536, "prot": "rw"}
    for advice in (-1, 100, "bogus"):
        advised = {"op": "madvise", "addr": "M0", "size": 65536, "advice": advice, "ret": -22}
        assert answers(tmp_path, mapped, advised) == []
