"""How fast fuzzing is: beside a plain Hypothesis state machine, with two workers, with a large corpus.

``python -m tests.benchmarks.fuzz --long [--seeds N] [--seconds S]`` measures how long campaigns take to
each finding, and how long uniformly random programs and orders take.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

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


# -- time to findings --------------------------------------------------------------------------

WANTED = {
    "v6.12": (
        "partial-pin-positive", "unregister-busy-swallowed", "param-check-returns-one", "map-past-window-end",
        "create-table-charge-leak", "default-window-double-create", "lookup-uaf", "ioctl-vs-release",
        "overlap-race-einval", "v1-disable-live-tces",
    ),
    "v4.10-seed": (
        "release-loop-infinite", "tce-create-mutex-leak", "second-group-no-windows",
        "prereg-element-alloc-unchecked",
    ),
    "v4.9": ("mm-owned-prereg-lazy-mm", "unbalanced-put", "tce-outlives-pins", "foreign-process-ioctl"),
}  # fmt: skip
"""What campaigns have to find."""


def times(kernel: str, seed: int, seconds: float, workers: int, plain: bool) -> dict[str, tuple[float, int]]:
    """Seconds and programs to each defect that one campaign finds."""
    with corpus() as made:
        plan = Plan(kernel=Switches(kernel), seed=seed, seconds=seconds, plain=plain)
        report = FuzzCampaign(made, plan, Crew(workers)).run()
    found: dict[str, tuple[float, int]] = {}
    for finding in report.findings:
        for slug in finding.known:
            found.setdefault(slug, (finding.seconds, finding.programs))
    return found


def long(seeds: int, seconds: float, workers: int, kernels: Iterable[str]) -> dict[str, Any]:
    """Medians over several seeds, beside uniform chance."""
    table: dict[str, Any] = {}
    for kernel in kernels:
        ours = [times(kernel, seed, seconds, workers, False) for seed in range(seeds)]
        uniform = [times(kernel, seed, seconds, workers, True) for seed in range(seeds)]
        for slug in WANTED[kernel]:
            mine = median(each.get(slug, (seconds, 0))[0] for each in ours)
            theirs = median(each.get(slug, (seconds, 0))[0] for each in uniform)
            hit = sum(slug in each for each in ours), sum(slug in each for each in uniform)
            table[f"{kernel} {slug}"] = {"seconds": mine, "uniform": theirs, "found": hit, "of": seeds}
            print(f"{kernel:12} {slug:32} {mine:7.1f} s in {hit[0]}/{seeds}", end="   ")
            print(f"{theirs:7.1f} s in {hit[1]}/{seeds} by uniform chance")
    return table


def main() -> None:
    """Measure times to findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fuzz", description=__doc__)
    parser.add_argument("--long", action="store_true", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--json", type=Path, default=Path(".tcemu/fuzz-times.json"))
    options = parser.parse_args()
    table = long(options.seeds, options.seconds, options.workers, options.kernel or list(WANTED))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
