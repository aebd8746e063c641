"""How fast fuzzing is: beside a plain Hypothesis state machine, with two workers, with a large corpus.

How long campaigns take to each finding, and how long uniformly random programs and orders take, is measured
by ``python -m docs.generate.campaigns``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors.check import Oracles
from actors.execute.steps import Execution
from actors.explore.arena import Arena
from actors.explore.failure import Switches
from actors.fuzz import Corpus, Crew, FuzzCampaign, Generator, Plan, try_program
from actors.fuzz.corpus import spelled
from actors.kernel.catalogue import find_kernel
from actors.machine import Machine
from actors.program import MachineSpec, Step, parse_address, parse_size
from actors.runtime.core import Calm, Core
from actors.runtime.thread import Thread
from tests.benchmarks.harness import Pairs, at_least, figure

PROGRAMS = 12
EXAMPLES = 6
STEPS = 160
"""Scheduling steps of one order, on the average of generated programs; examples have as many."""
MANY = 100_000


# -- beside Hypothesis -------------------------------------------------------------------------


class Told(Calm):
    """A chooser that lets the thread go on that it was told."""

    index = 0

    def pick(self, core: Core) -> Thread:
        """Return the thread of that index among the ready ones."""
        return core.ready[self.index % len(core.ready)]


class Plain(RuleBasedStateMachine):
    """What one would write at first: rules begin calls in threads and let threads go on, oracles look."""

    @initialize()
    def boot(self) -> None:
        """A container with a group, and some memory."""
        self.chooser = Told()
        self.core = Arena(self.chooser)
        self.machine = Machine.boot(self.core, "fixed", MachineSpec())
        self.execution = Execution(self.machine)
        self.threads = 0
        boot = self.core.spawn(self.machine.harness, self.execution.start(), "boot")
        self.core.run(boot)
        self.oracles = Oracles(self.machine)
        self.core.after_step = self.oracles.step
        for step in SETUP:
            self.core.run(self.core.spawn(self.machine.harness, self.execution.step(step), "setup"))

    def begin(self, step: Step) -> None:
        """Begin a call in a thread of its own."""
        self.threads += 1
        self.core.spawn(self.machine.harness, self.execution.step(step), f"t{self.threads}")

    @rule(page=st.integers(0, 3), entry=st.integers(0, 3))
    def map(self, page: int, entry: int) -> None:
        """MAP_DMA."""
        at = parse_address(f"M0+{page}P")
        self.begin(
            Step("map", actor=0, fd="C0", vaddr=at, iova=parse_size(entry << 12), size=parse_size(4096))
        )

    @rule(entry=st.integers(0, 3))
    def unmap(self, entry: int) -> None:
        """UNMAP_DMA."""
        self.begin(Step("unmap", actor=0, fd="C0", iova=parse_size(entry << 12), size=parse_size(4096)))

    @rule(op=st.sampled_from(["reg", "unreg"]))
    def memory(self, op: str) -> None:
        """REGISTER_MEMORY or UNREGISTER_MEMORY."""
        self.begin(Step(op, actor=0, fd="C0", vaddr=parse_address("M0"), size=parse_size("4P")))

    @precondition(lambda self: self.core.ready)
    @rule(index=st.integers(0, 7))
    def go_on(self, index: int) -> None:
        """Let a thread make a step, as a schedule does."""
        self.chooser.index = index
        thread = self.chooser.pick(self.core)
        while not self.core.segment(thread):
            pass
        MADE[0] += 1
        assert self.oracles.step() is None

    def teardown(self) -> None:
        """Nothing is left standing."""
        self.core.close()


MADE = [0]
"""Steps that the state machine has made."""

SETUP = (
    Step("open", actor=0, path="/dev/vfio/vfio", fd="C0"),
    Step("open", actor=0, path="/dev/vfio/<group>", group_index=0, fd="G0"),
    Step("setcont", actor=0, fd="G0", container="C0"),
    Step("setiommu", actor=0, fd="C0", iommu_type=7),
    Step("mmap", actor=0, addr=parse_address("M0"), size=parse_size("4P"), prot="rw"),
)


def hypothesis_orders() -> float:
    """Orders of ``STEPS`` steps that the state machine makes in a second."""
    MADE[0] = 0
    start = time.perf_counter()
    run_state_machine_as_test(
        Plain,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, database=None, deadline=None, derandomize=True,
            phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    return MADE[0] / STEPS / (time.perf_counter() - start)


def fuzz_orders(first: int) -> float:
    """Orders of ``STEPS`` steps that trials of generated programs make in a second."""
    kernel = find_kernel("fixed")
    start, steps = time.perf_counter(), 0
    for seed in range(first, first + PROGRAMS):
        steps += try_program(Generator(seed).program(), kernel, seed).steps
    return steps / STEPS / (time.perf_counter() - start)


@figure(
    "fuzz: orders of 160 steps, programs made, covered and judged",
    "orders/s",
    "a Hypothesis state machine on the same emulator",
    at_least(20),
)
def beside_hypothesis() -> Pairs:
    """Both in turns."""
    for turn in range(3):
        yield fuzz_orders(turn * PROGRAMS), hypothesis_orders()


# -- workers, and a large corpus ---------------------------------------------------------------


@contextmanager
def corpus() -> Iterator[Corpus]:
    """A corpus of its own."""
    with TemporaryDirectory() as folder, Corpus(Path(folder) / "c.db") as made:
        yield made


def rate(made: Corpus, crew: Crew, programs: int, seed: int = 0) -> float:
    """Programs a second of a campaign on the mended kernel, its workers started before."""
    campaign = FuzzCampaign(made, Plan(kernel=Switches("fixed"), seed=seed, programs=programs), crew)
    start = time.perf_counter()
    report = campaign.run()
    return report.sitting[0] / (time.perf_counter() - start)


@figure("fuzz: programs with two workers", "programs/s", "with one worker", at_least(1.7))
def two_workers() -> Pairs:
    """The same campaign with two and with one; starting the processes is part of it."""
    for seed in range(2):
        with corpus() as two, corpus() as one:
            yield rate(two, Crew(2), 192, seed), rate(one, Crew(1), 192, seed)


@figure("fuzz: programs with 100,000 programs in the corpus", "programs/s", "with none", at_least(0.9))
def large_corpus() -> Pairs:
    """The same campaign beside one in an empty corpus; filling it is not measured."""
    with corpus() as large:
        fill(large)
        for seed in range(2):
            with corpus() as small:
                yield rate(large, Crew(), 144, seed), rate(small, Crew(), 144, seed)


def fill(made: Corpus) -> None:
    """Keep very many programs, as a campaign of months would."""
    row = made.campaign("fixed", 999, "")
    texts = [spelled(Generator(seed).program()) for seed in range(500)]
    rows = [(f"{number:012x}", row.id, texts[number % len(texts)], 1) for number in range(MANY)]
    with made.transaction() as db:
        db.executemany("INSERT INTO programs (id, campaign, text, features) VALUES (?, ?, ?, ?)", rows)
