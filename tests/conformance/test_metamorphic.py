"""Recorded vectors, changed in ways that must not matter, give the recorded answers still."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from actors.execute.conform import Failure, Replay
from actors.execute.steps import Execution
from actors.kernel.tce_container import ContainerState
from actors.program import Address, Program, Step, VectorFile, load_vectors, regions_of

HERE = Path(__file__).parent
NAMES = (
    "linux-4.10-parent-powernv9-64k",
    "linux-4.9.148-powernv9-64k",
    "linux-4.19-powernv9-64k",
    "linux-6.12-powernv9-64k",
    "linux-6.12-powernv8-hugetlb",
)
files = pytest.mark.parametrize("name", NAMES)
SECOND = 500
"""What is added to the actors of a vector that runs beside another."""


def load(name: str) -> tuple[VectorFile, list[Program]]:
    file = load_vectors(str(HERE / "vectors" / f"{name}.json"))
    return file, [program for program in file.programs if program.tag != "danger"]


def failures(file: VectorFile, program: Program, make: type[Replay] = Replay) -> tuple[Failure, ...]:
    return make(program, file.generation, file.pinned_counts).result().failures


def changed(program: Program, change: Callable[[Step], Step]) -> Program:
    return structs.replace(program, setup=tuple(change(step) for step in program.setup))


def renamed(step: Step, actors: Callable[[int], int], descriptor: Callable[[str], str]) -> Step:
    """The step with other numbers of actors and other names of descriptors."""
    new: dict[str, Any] = {"actor": actors(step.actor or 0)}
    for field in ("fd", "newfd", "container"):
        value = getattr(step, field)
        if isinstance(value, str) and value != "-1":
            new[field] = descriptor(value)
    for field in ("new_actor", "target"):
        if getattr(step, field) is not None:
            new[field] = actors(getattr(step, field))
    seen = step.observed
    if seen is not None and seen.vmlck_kb_all_actors is not None:
        every = {actors(actor): kb for actor, kb in seen.vmlck_kb_all_actors.items()}
        new["observed"] = structs.replace(seen, vmlck_kb_all_actors=every)
    return structs.replace(step, **new)


# -- other places -------------------------------------------------------------------------------------------


@files
def test_base_addresses_do_not_matter(name: str) -> None:
    file, programs = load(name)
    for number, program in enumerate(programs):
        regions = list(regions_of(program.setup))
        random.Random(number).shuffle(regions)
        start = 1 << 46 if number % 2 else 3 << 36
        run = Replay(program, file.generation, file.pinned_counts)
        run.execution = Execution(run.machine, {r: start + (at << 35) for at, r in enumerate(regions)})
        assert run.result().failures == ()


# -- other names --------------------------------------------------------------------------------------------


@files
def test_names_do_not_matter(name: str) -> None:
    file, programs = load(name)

    def region(address: Any) -> Any:
        if not isinstance(address, Address) or address.region is None:
            return address
        return structs.replace(address, region=f"Z{address.region[::-1]}")

    def change(step: Step) -> Step:
        step = renamed(step, lambda actor: actor and 40 - actor, lambda fd: f"some-{fd[::-1]}")
        return structs.replace(step, addr=region(step.addr), vaddr=region(step.vaddr))

    for program in programs:
        assert failures(file, changed(program, change)) == ()


@files
def test_the_name_of_a_vector_does_not_matter(name: str) -> None:
    file, programs = load(name)
    for program in programs[::5]:
        assert failures(file, structs.replace(program, name="x", about="")) == ()


# -- harmless steps in between ------------------------------------------------------------------------------


class Curious(Replay):
    """A replay that asks for what changes nothing after every step."""

    def step(self, index: int, step: Step) -> None:
        super().step(index, step)
        actor = step.actor or 0
        names = self.execution.names.get(actor, {})
        process: Any = self.core.actors[self.execution.processes[actor]]
        if self.verdict is not None or process.gone:
            return
        for fd in sorted(names):
            for op in self.questions(fd):
                self.run(self.execution.step(structs.replace(op, actor=actor, fd=fd)))

    def questions(self, fd: str) -> Iterator[Step]:
        if fd.startswith("C"):
            yield Step(op="api")
            yield Step(op="chkext", extension=7)
            yield Step(op="info")
            yield Step(op="ioctl", nr_offset=50)
            yield Step(op="unmap", iova=Address(), size=Address(), bad_user_pointer=True)
        elif fd.startswith("G"):
            yield Step(op="status")
            yield Step(op="setcont", container="-1")


@files
def test_questions_in_between_do_not_matter(name: str) -> None:
    file, programs = load(name)
    for program in programs:
        if not hangs(program):
            assert failures(file, program, Curious) == ()


def hangs(program: Program) -> bool:
    """Whether it ends with a lock that somebody took along."""
    return program.verdict is not None


# -- two at once --------------------------------------------------------------------------------------------


def may_share_a_machine(program: Program) -> bool:
    """Whether a vector uses one group only, little memory, and comes to an end."""
    sizes = [step.size.offset for step in program.setup if step.op == "mmap" and step.size is not None]
    groups = {step.group_index or 0 for step in program.setup if step.op == "open"}
    huge = any("huge" in (step.mmap_flags or ()) for step in program.setup)
    return program.verdict is None and groups == {0} and sum(sizes) <= 256 << 20 and not huge


def moved(step: Step) -> Step:
    """The step as one of unrelated processes that use the other group."""
    step = renamed(step, lambda actor: actor + SECOND, lambda fd: fd)
    return structs.replace(step, group_index=1) if step.op == "open" else step


class Beside(Replay):
    """Two vectors on one machine, their steps in an order of their own; pins add up."""

    def __init__(self, program: Program, other: Program, kernel: str, counts: str, seed: int) -> None:
        both = structs.replace(program, setup=(), verdict=None, pinned_pages_leaked=None)
        super().__init__(both, kernel, counts)
        self.lists = [list(program.setup), [moved(step) for step in other.setup]]
        self.random = random.Random(seed)
        self.pins = [0, 0]

    def play(self) -> tuple[Failure, ...]:
        self.run(self.execution.start(0))
        self.run(self.execution.start(SECOND))
        at = [0, 0]
        while any(at[which] < len(self.lists[which]) for which in (0, 1)):
            which = self.random.choice([w for w in (0, 1) if at[w] < len(self.lists[w])])
            step = self.lists[which][at[which]]
            at[which] += 1
            self.step(at[which], self.with_sum(which, step))
        return tuple(self.failures)

    def with_sum(self, which: int, step: Step) -> Step:
        """The step expects the pins of both."""
        seen = step.observed
        if seen is None or seen.pinned_pages is None:
            return step
        self.pins[which] = seen.pinned_pages
        return structs.replace(step, observed=structs.replace(seen, pinned_pages=sum(self.pins)))


@files
def test_an_unrelated_vector_beside_does_not_matter(name: str) -> None:
    file, programs = load(name)
    fit = [program for program in programs if may_share_a_machine(program)]
    for number, program in enumerate(fit):
        other = fit[(number * 7 + 3) % len(fit)]
        failed = Beside(program, other, file.generation, file.pinned_counts, number).play()
        assert failed == (), (program.name, other.name)


# -- one by one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAMES[1], NAMES[3], NAMES[4]])
def test_entries_one_by_one_give_what_whole_runs_give(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContainerState, "nobody_can_disturb", lambda self: False)
    file, programs = load(name)
    for program in programs:
        if not slow(program):
            assert failures(file, program) == ()


def slow(program: Program) -> bool:
    """Whether a step of it looks at very many entries."""
    return any(step.size is not None and step.size.offset > 1 << 32 for step in program.setup)
