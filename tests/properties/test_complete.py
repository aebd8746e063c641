"""A search that says "complete" has seen all that any order can come to.

That holds only as long as everything that threads share is declared before it is touched; what is not
shows here as an outcome of random orders that the complete search never had.
"""

from __future__ import annotations

import pytest

from actors.explore import Dpor, Pct, Pos, RandomWalk
from actors.fuzz import Generator
from actors.program import Program, parse_program
from tests.properties.outcomes import Outcomes

OPENED = [
    {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
    {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
    {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
    {"actor": 0, "op": "setiommu", "fd": "C0", "iommu_type": 7},
    {"actor": 0, "op": "mmap", "addr": "M0", "size": "4P", "prot": "rw"},
]
REGISTER = {"op": "reg", "fd": "C0", "vaddr": "M0", "size": "2P"}
GROUP = {"op": "open", "path": "/dev/vfio/<group>", "group_index": 1, "fd": "G1"}
PROGRAMS = {
    "close beside register": ([REGISTER], [{"op": "close", "fd": "C0"}]),
    "close twice beside unset": (
        [{"op": "close", "fd": "G0"}],
        [{"op": "close", "fd": "G0"}],
        [{"op": "unsetcont", "fd": "G0"}],
    ),
    "open beside its first use": (
        [GROUP],
        [{"op": "setcont", "fd": "G1", "container": "C0"}, {"op": "status", "fd": "G1"}],
    ),
    "one group twice, and another file": ([GROUP], [GROUP | {"fd": "G2"}, {"op": "opennull", "fd": "N"}]),
    "dup beside close": (
        [{"op": "dup", "fd": "C0", "newfd": "C1"}, {"op": "api", "fd": "C1"}],
        [{"op": "close", "fd": "C0"}],
    ),
    "fork beside close": (
        [{"op": "fork", "new_actor": 1}],
        [{"op": "close", "fd": "C0"}],
        [{"op": "api", "fd": "C0", "actor": 1}],
    ),
    "a limit beside register": ([REGISTER], [{"op": "rlimit", "limit": 65536}, {"op": "dropcap"}]),
    "a limit beside mlock": (
        [{"op": "mlock", "addr": "M0", "size": "1P"}],
        [{"op": "rlimit", "limit": 0}, {"op": "dropcap"}],
    ),
}
OUTCOMES = {
    "close beside register": 2,
    "close twice beside unset": 4,
    "fork beside close": 2,
    "a limit beside register": 2,
    "a limit beside mlock": 3,
}
"""Of some, how many there are."""


def program_of(threads: tuple[list[dict[str, object]], ...]) -> Program:
    specs = [
        {"name": f"t{number}", "actor": steps[0].get("actor", 0), "steps": steps}
        for number, steps in enumerate(threads)
    ]
    return parse_program(
        {"format": "tcemu-program", "version": 1, "name": "shared", "machine": {"groups": 2},
         "setup": OPENED, "threads": specs}
    )  # fmt: skip


def held_to_random(program: Program, kernel: str, most: int, orders: int) -> int | None:
    """Hold a complete search against random orders; how many outcomes there are, None if it was too long."""
    outcomes = Outcomes(program, kernel)
    if outcomes.prepared.early is not None:
        return None
    complete = outcomes.every(Dpor(), most)
    if complete is None:
        return None
    for strategy in (RandomWalk(1), Pct(1, 2), Pos(1)):
        assert outcomes.some(strategy, orders) <= complete
    return len(complete)


@pytest.mark.parametrize("name", PROGRAMS)
def test_named_programs(name: str) -> None:
    found = held_to_random(program_of(PROGRAMS[name]), "fixed", 3_000, 100)
    assert found == OUTCOMES.get(name, found) and found > 1


def held_to_generated(kernel: str, seeds: range, most: int, orders: int) -> int:
    """Hold the search to small programs of the generator; how many were small enough."""
    held = 0
    for seed in seeds:
        program = Generator(seed).program()
        steps = sum(len(thread.steps) for thread in program.threads)
        if len(program.threads) > 1 and steps <= 4:
            held += held_to_random(program, kernel, most, orders) is not None
    return held


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_generated_programs(first: int) -> None:
    assert held_to_generated("fixed", range(first, first + 100), 100, 15) > 5


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 3_000, 500))
def test_many_generated_programs(first: int) -> None:
    assert held_to_generated("fixed", range(first, first + 500), 300, 40) > 50
