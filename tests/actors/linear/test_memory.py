"""The sequential model of memory, beside the machine's."""

from __future__ import annotations

from random import Random

import pytest

from actors.linear.model import Unmodelled
from actors.linear.rules import rules_of
from actors.program import Step, read_step
from actors.program.values import MachineSpec
from tests.actors.linear.replay import run, twins

ADVICE = ("dontneed", "dontfork", "dofork", "willneed", "mergeable", "dontdump", "free", 99, -1)


def drawn(random: Random) -> Step:
    """A call on a few pages of one region."""
    op = random.choice(("mmap", "munmap", "mlock", "munlock", "touch", "mprotect", *["madvise"] * 6))
    first, pages = random.randrange(8), random.randrange(5)
    at, size = f"M0+{first}P", f"{pages}P" if op == "madvise" else f"{pages + 1}P"
    more = {"mmap": {"prot": "rw"}, "mprotect": {"prot": "r"}, "madvise": {"advice": random.choice(ADVICE)}}
    return read_step({"op": op, "actor": 0, "addr": at, "size": size, **more.get(op, {})})


@pytest.mark.parametrize("seed", range(30))
def test_madvise_comes_out_alike_and_so_does_what_a_child_inherits(seed: int) -> None:
    random = Random(seed)
    lab, execution = twins()
    steps = [drawn(random) for _ in range(25)]
    steps.append(read_step({"op": "fork", "actor": 0, "new_actor": 1}))
    steps += [
        read_step({"op": "touch", "actor": actor, "addr": f"M0+{page}P", "size": "1P"})
        for actor in (0, 1)
        for page in range(12)
    ]
    for step in steps:
        try:
            model = run(execution.step(step)).ret
        except Unmodelled:
            continue
        assert lab._run(lab.execution.step(step)).ret == model, step


def test_huge_pages_that_a_child_may_need_are_not_judged() -> None:
    lab, execution = twins()
    execution.machine.model.rules = rules_of(  # type: ignore[attr-defined]
        lab.machine.world.kernel.slugs,
        MachineSpec(hugepages={"2M": 3}),  # type: ignore[arg-type]
    )
    steps = [
        {"op": "mmap", "addr": "M0", "size": "4M", "prot": "rw", "mmap_flags": ["huge"], "hshift": 21},
        {"op": "fork", "new_actor": 1},
    ]
    assert run(execution.step(read_step({"actor": 0, **steps[0]}))).ret == 0
    with pytest.raises(Unmodelled, match="huge pages that may run out"):
        run(execution.step(read_step({"actor": 0, **steps[1]})))
