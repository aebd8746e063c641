"""The sequential model answers as real kernels did, without any actor."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from actors.linear.rules import judgeable
from actors.program import load_vectors
from tests.actors.linear.replay import replay_file

VECTORS = Path("tests/conformance/vectors")

PAST_THE_END = "a range that leaves its window, which this kernel does not check"
WAITS = "the end of a container that waits for ever for another one's TCEs"
NO_ANSWER = "the kernel never answered"
POOL = "a pool of huge pages that may run out"

RECORDED = {
    "linux-4.10-parent-powernv9-64k": (3728, {NO_ANSWER: 1}),
    "linux-4.10-seed-powernv9-64k": (3724, {NO_ANSWER: 1, WAITS: 1}),
    "linux-4.19-powernv9-64k": (3376, {}),
    "linux-4.9.148-powernv9-4k": (3724, {WAITS: 1}),
    "linux-4.9.148-powernv9-64k": (3829, {WAITS: 1, PAST_THE_END: 3}),
    "linux-4.9.148-powernv9-80g": (868, {PAST_THE_END: 1}),
    "linux-4.9.148-preseed-powernv9-4k": (3728, {}),
    "linux-4.9.148-preseed-powernv9-64k": (3833, {PAST_THE_END: 3}),
    "linux-6.12-powernv8-hugetlb": (105, {POOL: 3}),
    "linux-6.12-powernv9-4k": (3834, {PAST_THE_END: 9}),
    "linux-6.12-powernv9-64k": (3833, {PAST_THE_END: 10}),
    "linux-6.12-powernv9-hugetlb": (172, {}),
}
"""File -> its steps, and those that the model leaves out, by the reason."""


def test_these_are_all_recordings() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == RECORDED.keys()


@pytest.mark.parametrize("name", RECORDED)
def test_every_step_that_the_model_knows_comes_out_as_recorded(name: str) -> None:
    steps, left_out = RECORDED[name]
    file = load_vectors(VECTORS / f"{name}.json")
    assert judgeable(file.generation) == ""
    replayed = replay_file(file)
    assert replayed.differences == ()
    assert (replayed.steps, replayed.left_out) == (steps, left_out)
    assert replayed.agreed == steps - sum(left_out.values())


def test_the_rules_of_another_kernel_show() -> None:
    file = load_vectors(VECTORS / "linux-6.12-powernv9-64k.json")
    replayed = replay_file(structs.replace(file, generation="fixed"))
    assert len(replayed.differences) > 50
