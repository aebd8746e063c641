"""Programs out of nothing but a seed."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.fuzz.generate import Generator, mutate, repaired
from actors.fuzz.generate.draw import Draw
from actors.fuzz.generate.grammar import RULES
from actors.fuzz.generate.scene import Scene
from actors.program import MachineSpec, Program, Step, ThreadSpec, check_program, parse_program, write_program
from actors.program.steps import EXACT, read_step, write_step

SEEDS = st.integers(0, 1 << 40)


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_a_seed_makes_one_program_that_can_run(seed: int) -> None:
    program = Generator(seed).program()
    check_program(program)
    assert program == Generator(seed).program()
    assert parse_program(write_program(program)) == program


@given(SEEDS, SEEDS, SEEDS)
@settings(max_examples=150, deadline=None)
def test_mutants_can_run_and_are_repeatable(one: int, other: int, seed: int) -> None:
    parents = (Generator(one).program(), Generator(other).program())
    mutant = mutate(parents, seed)
    check_program(mutant)
    assert mutant == mutate(parents, seed)
    assert len(mutant.threads) <= 4


def test_every_operation_is_generated_and_swarms_differ() -> None:
    programs = [Generator(seed).program() for seed in range(800)]
    counts = Counter(step.op for p in programs for thread in p.threads for step in thread.steps)
    assert set(RULES) | {"run"} == set(counts)
    kinds = [{step.op for thread in p.threads for step in thread.steps} for p in programs]
    assert all(len(each) < len(RULES) // 2 for each in kinds)


def test_every_operation_can_be_written_and_read_back() -> None:
    untidy = [Draw(Random(seed), Scene.of(Generator(seed).program()), 0.0) for seed in range(200)]
    for draw in untidy:
        for op, (_, rule) in RULES.items():
            step = rule(draw, 0)
            if step is not None:
                assert read_step(write_step(step), EXACT) == step, op


def test_most_programs_have_threads_that_meet() -> None:
    programs = [Generator(seed).program() for seed in range(200)]
    assert sum(len(program.threads) >= 2 for program in programs) > 180
    assert any(program.machine.groups > 1 for program in programs)
    assert any(thread.cpu is not None for program in programs for thread in program.threads)
    assert any(thread.actor == 1 for program in programs for thread in program.threads)


def test_mutation_changes_programs() -> None:
    parents = [Generator(seed).program() for seed in range(40)]
    mutants = [mutate((each, parents[-1]), seed) for seed, each in enumerate(parents)]
    same = sum((a.setup, a.threads) == (b.setup, b.threads) for a, b in zip(parents, mutants, strict=True))
    assert same < 8


def test_a_container_that_is_opened_again_is_another_one() -> None:
    """The scene forgets the groups of the first; a mutant that doubles the open does not trip over them."""
    scene = Scene(MachineSpec())
    opened = Step("open", path="/dev/vfio/vfio", fd="C0")
    group = Step("open", path="/dev/vfio/<group>", group_index=0, fd="G0")
    for step in (opened, group, Step("setcont", fd="G0", container="C0"), opened, Step("unsetcont", fd="G0")):
        scene.absorb(step, 0)
    assert scene.container_of == {} and scene.containers["C0"].groups == []


def test_repair_drops_what_cannot_run() -> None:
    broken = Program(
        "broken",
        setup=(Step("close", actor=0, fd="C9"), Step("opennull", actor=0, fd="N0")),
        threads=(
            ThreadSpec("t0", actor=3, steps=(Step("exit"),)),
            ThreadSpec("t1", actor=0, steps=(Step("api", fd="C7"), Step("close", fd="N0"))),
        ),
    )
    mended = repaired(broken)
    check_program(mended)
    assert [step.op for step in mended.setup] == ["opennull"]
    assert [[step.op for step in thread.steps] for thread in mended.threads] == [["close"]]


def test_repair_leaves_no_threads_that_wait_for_each_other() -> None:
    circle = Program(
        "circle",
        threads=(
            ThreadSpec("t0", actor=0, steps=(Step("abort", target=2), Step("fork", new_actor=1))),
            ThreadSpec("t1", actor=1, steps=(Step("fork", new_actor=2), Step("fork", new_actor=1))),
        ),
    )
    mended = repaired(circle)
    assert [[step.op for step in thread.steps] for thread in mended.threads] == [["fork"], ["fork"]]
