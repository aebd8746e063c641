"""What fuzzing found on the mended kernel, where nothing should be: each smallest program stays clean."""

from __future__ import annotations

from typing import Any

import pytest

from actors.explore import explore
from actors.program import parse_program

Steps = list[dict[str, Any]]
ATTACHED: Steps = [
    {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
    {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
    {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
    {"actor": 0, "op": "setiommu", "fd": "C0", "iommu_type": 7},
    {"actor": 0, "op": "mmap", "addr": "M0", "size": "2P", "prot": "rw"},
]
REG = {"op": "reg", "fd": "C0", "vaddr": "M0", "size": "2P"}
UNREG = {"op": "unreg", "fd": "C0", "vaddr": "M0", "size": "2P"}
ONE = {**REG, "size": "1P"}
RUN = {"op": "run", "task": "actor:0"}


def threads(*each: Steps, cpu: Steps | None = None) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"name": f"t{n}", "actor": 0, "steps": steps} for n, steps in enumerate(each)
    ]
    return made + ([{"name": "cpu", "cpu": 1, "steps": cpu}] if cpu else [])


CASES: dict[str, tuple[Steps, list[dict[str, Any]]]] = {
    "two execs": ([], threads([{"op": "exec"}], [{"op": "exec"}])),
    "two execs of a process that is being made, and a third call": (
        [{"actor": 0, "op": "opennull", "fd": "N0"}],
        [
            {"name": "parent", "actor": 0, "steps": [{"op": "fork", "new_actor": 1}]},
            *(
                {"name": name, "actor": 1, "steps": [step]}
                for name, step in (
                    ("first", {"op": "exec"}),
                    ("second", {"op": "exec"}),
                    ("third", {"op": "close", "fd": "N0"}),
                )
            ),
        ],
    ),
    "exec and exit on a cpu": (
        [],
        threads(
            [{"op": "exec"}, {"op": "exit"}],
            [{"op": "opennull", "fd": "N0"}],
            cpu=[RUN, {"op": "run", "task": "idle"}],
        ),
    ),
    "a region whose memory was replaced by new pages, registered again": (
        [
            *ATTACHED,
            {"actor": 0, **ONE, "op": "reg"},
            {"actor": 0, "op": "map", "fd": "C0", "vaddr": "M0", "iova": 8192, "size": 16384},
            {"actor": 0, "op": "mmap", "addr": "M0", "size": "16P", "prot": "rw", "mmap_flags": ["force"]},
        ],
        threads(
            [{"op": "unmap", "fd": "C0", "iova": 8192, "size": 16384}, {**ONE, "op": "unreg"}],
            [{**ONE, "op": "reg"}],
        ),
    ),
    "a failed map over the last entry of a region that nobody registers": (
        [
            *ATTACHED,
            {"actor": 0, **REG},
            {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C1"},
            {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 1, "fd": "G1"},
            {"actor": 0, "op": "setcont", "fd": "G1", "container": "C1"},
            {"actor": 0, "op": "setiommu", "fd": "C1", "iommu_type": 7},
            {"actor": 0, "op": "mmap", "addr": "M1", "size": "1P", "prot": "rw"},
            {"actor": 0, "op": "reg", "fd": "C1", "vaddr": "M1", "size": "1P"},
            {"actor": 0, "op": "map", "fd": "C1", "vaddr": "M0", "iova": 4096, "size": 4096},
            {"actor": 0, "op": "close", "fd": "C0"},
            {"actor": 0, "op": "close", "fd": "G0"},
        ],
        threads([{"op": "map", "fd": "C1", "vaddr": "M1+0xf000", "iova": 4096, "size": 8192}]),
    ),
    "a region that is registered again with too small an argument": (
        [*ATTACHED, {"actor": 0, **REG}],
        threads([{**REG, "argsz": 8}]),
    ),
    "exec beside mlock": (
        ATTACHED,
        threads([{"op": "exec"}], [{"op": "mlock", "addr": "M0", "size": "2P"}]),
    ),
    "exit beside mlock": (
        ATTACHED,
        threads([{"op": "exit"}], [{"op": "mlock", "addr": "M0", "size": "2P"}]),
    ),
    "close beside register": (ATTACHED, threads([{"op": "close", "fd": "C0"}], [REG])),
    "killed while registering": (ATTACHED, threads([REG], [{"op": "abort", "target": 0}])),
    "killed while registering and unregistering": (ATTACHED, threads([{"op": "exit"}], [REG], [UNREG])),
    "a process that ends in the setup with memory locked": (
        [
            *ATTACHED,
            {"actor": 0, "op": "mlock", "addr": "M0", "size": "2P"},
            {"actor": 0, "op": "fork", "new_actor": 1},
            {"actor": 0, "op": "exit"},
        ],
        [{"name": "t0", "actor": 1, "steps": [{"op": "opennull", "fd": "N0"}, {"op": "close", "fd": "C0"}]}],
    ),
    "a child that is never forked": (
        [{"actor": 0, "op": "exit"}, {"actor": 0, "op": "fork", "new_actor": 1}],
        [{"name": "t0", "actor": 1, "steps": [{"op": "opennull", "fd": "N0"}]}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_stays_clean(case: str) -> None:
    setup, concurrent = CASES[case]
    program = parse_program(
        {
            "format": "tcemu-program",
            "version": 1,
            "name": "found",
            "machine": {"groups": 2},
            "setup": setup,
            "threads": concurrent,
        }
    )
    for strategy, schedules in (("portfolio", 400), ("pos", 40)):
        report = explore(program, "fixed", strategy, schedules=schedules)
        assert (report.verdict, report.findings) == ("ok", ()), report.message
