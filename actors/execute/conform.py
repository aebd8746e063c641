"""Replaying recorded vectors and comparing every step with what a real kernel answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.execute.steps import Execution, Outcome
from actors.kernel.composition import Kernel
from actors.machine import Machine
from actors.program import Program, Step, VectorFile
from actors.program.address import U64_MAX
from actors.runtime.bare import BareRuntime
from actors.runtime.errors import Deadlock, EmulatorError, KernelOops, Livelock
from hw import HardwareError

STEP_BUDGET = 100_000
"""Scheduling steps after which a step of a vector is looked at for whether it still gets anywhere."""


class Failure(NamedTuple):
    """One difference: the field of the step, what the kernel answered, what the emulator answers."""

    vector: str
    step: int
    op: str
    field: str
    expected: Any
    actual: Any


class VectorResult(NamedTuple):
    """What replaying one vector came to.

    Attributes:
        vector: its name.
        tag: ``main``, ``huge`` or ``danger``.
        steps: how many steps it has.
        passed: how many of them agree in everything that is compared.
        failures: every difference.
    """

    vector: str
    tag: str
    steps: int
    passed: int
    failures: tuple[Failure, ...]


def conform(file: VectorFile, kernel: Kernel | str) -> Iterator[VectorResult]:
    """Replay every vector of a file on a fresh machine each."""
    for program in file.programs:
        yield replay(program, kernel, file.pinned_counts)


def replay(program: Program, kernel: Kernel | str, pinned_counts: str = "v1+v2") -> VectorResult:
    """Replay one vector: each step by itself, the charges and pins looked at after it."""
    run = Replay(program, kernel, pinned_counts)
    return run.result()


class Replay:
    """One vector on a machine of its own."""

    def __init__(self, program: Program, kernel: Kernel | str, pinned_counts: str) -> None:
        self.program = program
        self.core = BareRuntime(budget=STEP_BUDGET)
        self.machine = Machine.boot(self.core, kernel, program.machine)
        # Ordinary memory of the recorded machines is single pages always.
        self.machine.world.transparent_hugepages = False
        self.execution = Execution(self.machine)
        self.v1_pins = pinned_counts == "v1+v2"
        self.failures: list[Failure] = []
        self.verdict: str | None = None

    def result(self) -> VectorResult:
        """Replay all steps."""
        program, passed = self.program, 0
        self.run(self.execution.start())
        for index, step in enumerate(program.setup):
            before = len(self.failures)
            self.step(index, step)
            passed += len(self.failures) == before
            if self.verdict is not None:
                break
        if self.verdict is None and program.verdict is None:
            self.finish()
        return VectorResult(
            program.name, program.tag or "main", len(program.setup), passed, tuple(self.failures)
        )

    def run(self, body: Any) -> Any:
        """Run a coroutine as the only thread of the machine.

        Raises:
            Livelock: it goes round in the same few objects budget after budget; a request that has very
                many entries to write goes from one to the next and is only long.
        """
        thread = self.core.spawn(self.machine.harness, body, "vector")
        earlier: frozenset[str] = frozenset()
        while not thread.finished:
            try:
                self.core.run(thread)
            except Livelock as problem:
                recent = frozenset(problem.recent)
                if recent == earlier:
                    raise
                earlier = recent
        return self.core.result(thread)

    def step(self, index: int, step: Step) -> None:
        """Carry one step out and compare."""
        outcome: Outcome | None = None
        try:
            outcome = self.run(self.execution.step(step))
            self.run(self.machine.rcu_barrier())
        except (KernelOops, HardwareError):
            self.verdict = "oops"
        except Livelock:
            self.verdict = "livelock"
        except Deadlock:
            self.verdict = "deadlock"
        if self.verdict is not None or outcome is None:
            last = index == len(self.program.setup) - 1
            expected = self.program.verdict if last else None
            self.compare(index, step, "verdict", expected, self.verdict)
            return
        if step.ret is not None:
            self.compare(index, step, "ret", step.ret[0], outcome.ret)
        elif self.program.verdict is not None and index == len(self.program.setup) - 1:
            self.compare(index, step, "verdict", self.program.verdict, None)
            return
        self.compare_observed(index, step, outcome)

    def compare_observed(self, index: int, step: Step, outcome: Outcome) -> None:
        """Compare what the recorder saw beside the return code."""
        seen = step.observed
        if seen is None:
            return
        if seen.out is not None:
            self.compare(index, step, "out", dict(seen.out), outcome.out)
        if seen.vmlck_kb is not None and step.actor is not None:
            self.compare(index, step, "vmlck_kb", seen.vmlck_kb, self.locked_kb(step.actor))
        for actor, locked in (seen.vmlck_kb_all_actors or {}).items():
            self.compare(index, step, f"vmlck_kb_all_actors.{actor}", locked, self.locked_kb(actor))
        if seen.pinned_pages is not None:
            self.compare(index, step, "pinned_pages", seen.pinned_pages, self.pinned_pages())

    def compare(self, index: int, step: Step, field: str, expected: Any, actual: Any) -> None:
        """Note a difference."""
        if expected != actual:
            self.failures.append(Failure(self.program.name, index, step.op, field, expected, actual))

    def locked_kb(self, actor: int) -> int:
        """VmLck of a process in KiB, as the kernel prints it: modulo 2^64."""
        process: Any = self.core.actors[self.execution.processes[actor]]
        mm: Any = self.core.actors[process.mm]
        pages: int = mm.locked_vm.value
        return pages << self.machine.memory.page_shift - 10 & U64_MAX

    def pinned_pages(self) -> int:
        """Pins as the recorder counted them."""
        memory = self.machine.memory
        if self.v1_pins:
            return memory.pinned_pages
        return sum(count for holder, count in memory.pins_by_holder.items() if holder.endswith(".regions"))

    def finish(self) -> None:
        """End every process and compare what is still pinned."""
        if self.program.pinned_pages_leaked is None:
            return
        try:
            for actor in sorted(self.execution.processes):
                self.run(self.execution.step(Step(op="exit", actor=actor)))
            self.run(self.machine.rcu_barrier())
        except (KernelOops, HardwareError, Livelock, Deadlock, EmulatorError) as problem:
            self.failures.append(Failure(self.program.name, -1, "end", "verdict", None, str(problem)))
            return
        if self.pinned_pages() != self.program.pinned_pages_leaked:
            self.failures.append(
                Failure(
                    self.program.name,
                    -1,
                    "end",
                    "pinned_pages_leaked",
                    self.program.pinned_pages_leaked,
                    self.pinned_pages(),
                )
            )
