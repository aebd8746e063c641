"""Running a program once, in the order that a chooser makes.

What comes before the concurrent part is played once; every order then starts from a copy of the
machine at rest.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import suppress
from errno import errorcode
from typing import Any, Protocol, runtime_checkable

from actors.check import Oracles
from actors.execute.steps import SKIPPED, Execution, Outcome, changing
from actors.explore.arena import STEP_BUDGET, Arena
from actors.explore.result import Result
from actors.explore.verdicts import ENDINGS, OracleMaker, failure_of, findings_of, raise_first, unexpected
from actors.kernel import messages as m
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.machine import Machine
from actors.program import Program, Step, ThreadSpec, allowed_results
from actors.runtime.copies import Snapshot
from actors.runtime.core import Calm, Chooser
from actors.runtime.errors import KernelOops, TaskKilled
from actors.runtime.sync import Completion

CALM = Calm()


@runtime_checkable
class Model(Protocol):
    """Anything that can be run in many orders."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def kernel_name(self) -> str:
        """The kernel it runs on, or ""."""

    def run(self, core: Arena) -> Result:
        """Run from the start to the end on ``core``, whose chooser decides."""


class Prepared:
    """A program whose setup has been carried out, ready to be run in many orders.

    Attributes:
        program: the program.
        kernel: the kernel it runs on.
        early: what the setup came to, when it did not get to its end.
        snapshot: the machine at rest after the setup.
        notes: steps of the setup that failed and do not say that they may.
    """

    def __init__(
        self, program: Program, kernel: Kernel | str = "fixed", oracles: OracleMaker = Oracles
    ) -> None:
        self.program = program
        self.name = program.name
        self.kernel = switched(program, kernel)
        self.kernel_name = self.kernel.name
        self.oracles = oracles
        self.early: Result | None = None
        self.snapshot: Snapshot | None = None
        self.notes: tuple[str, ...] = ()
        self._play_setup()

    def _play_setup(self) -> None:
        core = Arena(CALM)
        machine = Machine.boot(core, self.kernel, self.program.machine)
        self.execution = Execution(machine)
        run = Run(core, machine, self.execution, self.program, self.oracles)
        try:
            run.alone(self.execution.start())
            run.play(self.program.setup, "setup")
            run.give_tasks()
        except ENDINGS as problem:
            self.early = run.ended(problem)
            return
        finally:
            self.notes = tuple(run.refused)
        run.oracles.detach()
        self.snapshot = machine.snapshot()

    def run(self, core: Arena) -> Result:
        """Run the threads in the order that the chooser of ``core`` makes, then what comes after."""
        if self.early is not None:
            return self.early
        assert self.snapshot is not None
        machine = Machine.restore(core, self.snapshot)
        return Run(core, machine, self.continued(machine), self.program, self.oracles).result()

    def continued(self, machine: Machine) -> Execution:
        """What the program's names stand for on a copy of the machine after the setup."""
        execution = Execution(machine, self.execution.bases)
        execution.processes = dict(self.execution.processes)
        execution.names = {actor: dict(fds) for actor, fds in self.execution.names.items()}
        return execution


def switched(program: Program, kernel: Kernel | str) -> Kernel:
    """The kernel of that name with the defects that the program switches on and off."""
    if isinstance(kernel, Kernel):
        return kernel
    slugs = find_kernel(kernel).slugs
    with_ = [slug for slug in program.with_ if slug not in slugs]
    return find_kernel(kernel, with_, [slug for slug in program.without if slug in slugs])


class Run:
    """One program on one machine, once."""

    def __init__(
        self, core: Arena, machine: Machine, execution: Execution, program: Program, oracles: OracleMaker
    ) -> None:
        self.core = core
        self.machine = machine
        self.execution = execution
        self.program = program
        self.oracles = oracles(machine)
        self.arrivals: dict[int, Completion] = {}
        self.refused: list[str] = []
        core.judge = self
        core.after_step = self.look
        core.on_oops = crashed

    def look(self) -> None:
        """Let the oracles look after a step.

        Raises:
            Failed: they have found something that ends the run.
        """
        if self.oracles.step() is not None:
            raise_first(self.oracles.violations)

    def result(self) -> Result:
        """Run threads, judge, run what comes last, judge again."""
        try:
            self.start()
            self.core.run()
            self.conclude()
        except ENDINGS as problem:
            return self.ended(problem)
        except BaseException:
            self.abandon()
            raise
        return Result(steps=self.core.steps, findings=findings_of(self.oracles))

    def conclude(self) -> None:
        """All threads have ended, and so has every grace period that can: judge, play the rest, judge."""
        self.core.chooser = CALM
        self.execution.changing = frozenset()
        if self.program.finally_:
            raise_first(self.oracles.quiescent(final=False))
            self.play(self.program.finally_, "finally")
        raise_first(self.oracles.quiescent(final=True))

    def ended(self, problem: BaseException) -> Result:
        """Turn what ended the run into a result."""
        self.abandon()
        return failure_of(problem)._replace(steps=self.core.steps, findings=findings_of(self.oracles))

    def abandon(self) -> None:
        """Leave a run that goes no further: nobody listens and nothing is left standing."""
        self.oracles.detach()
        self.core.after_step = None
        self.core.close()

    # -- threads -------------------------------------------------------------------------------

    def give_tasks(self) -> None:
        """Make every thread of a process that exists a task of its own, before it does anything."""
        for spec in self.program.threads:
            if spec.actor in self.execution.processes:
                with suppress(TaskKilled):
                    self.alone(self.execution.call(spec.actor, m.CloneThread(spec.name)))

    def start(self) -> None:
        """Create all threads of the program."""
        self.execution.changing = changing(self.program.threads)
        for spec in self.program.threads:
            for actor in mentioned(spec):
                if actor not in self.execution.processes and actor not in self.arrivals:
                    self.arrivals[actor] = Completion(self.core, f"actor:{actor}", "whoever forks it")
        forked = {step.new_actor for spec in self.program.threads for step in spec.steps}
        for actor, arrival in self.arrivals.items():
            if actor not in forked:
                arrival.complete()
        for spec in self.program.threads:
            thread = self.core.spawn(self.machine.harness, self.thread(spec), spec.name)
            thread.bystander = until_bystander(spec) == 0

    async def thread(self, spec: ThreadSpec) -> None:
        """Make the steps of one thread; the end of its process is its own."""
        thread, busy = self.core.current, until_bystander(spec)
        try:
            for index, step in enumerate(spec.steps):
                thread.bystander = index >= busy
                if not await self.there(spec, step):
                    return
                outcome = await self.execution.step(step, spec.actor, spec.cpu)
                self.expect(step, outcome, f"{spec.name}[{index}]")
                self.arrived(step)
                if outcome.note == SKIPPED and spec.actor is not None and step.op != "run":
                    return
        finally:
            for step in spec.steps:
                self.arrived(step)

    def expect(self, step: Step, outcome: Outcome, place: str) -> None:
        """Hold a step to what it should return, unless failures are made: they may change any answer."""
        if self.core.faults is None:
            expect(step, outcome, place)

    def arrived(self, step: Step) -> None:
        """The process that a step creates exists now, or never will."""
        arrival = self.arrivals.get(-1 if step.new_actor is None else step.new_actor)
        if arrival is not None:
            arrival.complete()

    async def there(self, spec: ThreadSpec, step: Step) -> bool:
        """Wait until whoever makes the step, or suffers it, exists; False when nobody will create it."""
        for actor in (spec.actor, step.target):
            if actor is not None and actor in self.arrivals and actor not in self.execution.processes:
                await self.arrivals[actor].wait()
                if actor not in self.execution.processes:
                    return False
        return True

    # -- one thing after another ---------------------------------------------------------------

    def play(self, steps: tuple[Step, ...], name: str) -> None:
        """Carry steps out in order, alone, each with everything that follows from it."""
        for index, step in enumerate(steps):
            outcome: Outcome = self.alone(self.execution.step(step))
            self.expect(step, outcome, f"{name}[{index}]")
            if outcome.ret is not None and outcome.ret < 0 and allowed_results(step) is None:
                answer = errorcode.get(-outcome.ret, str(-outcome.ret))
                self.refused.append(f"{name}[{index}] {step.op} returned -{answer}")
            self.core.run()

    def alone(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine as the only thread of the machine and return its result."""
        thread = self.core.spawn(self.machine.harness, body, "alone")
        self.core.run(thread)
        return self.core.result(thread)


def crashed(thread: object, problem: KernelOops) -> None:
    """A thread has crashed: that ends the run."""
    raise problem


def until_bystander(spec: ThreadSpec) -> int:
    """The number of the first step from which on a thread only switches tasks."""
    return max((index for index, step in enumerate(spec.steps, 1) if step.op != "run"), default=0)


def mentioned(spec: ThreadSpec) -> Iterator[int]:
    """The processes that a thread needs."""
    if spec.actor is not None:
        yield spec.actor
    yield from (step.target for step in spec.steps if step.target is not None)


def expect(step: Step, outcome: Outcome, place: str) -> None:
    """Hold what a step returned against what it should return.

    Raises:
        Failed: it differs.
    """
    right = allowed_results(step)
    if right is not None and outcome.ret is not None and outcome.ret not in right:
        wanted = " or ".join(map(str, sorted(right)))
        raise unexpected(f"{place} {step.op}: returned {outcome.ret}, expected {wanted}")


def run_once(model: Model, chooser: Chooser, budget: int = STEP_BUDGET, every: bool = False) -> Result:
    """Run a model once in the order that ``chooser`` makes.

    Raises:
        EmulatorError: a mistake of the emulator, not of the kernel.
    """
    return model.run(Arena(chooser, budget, every))


__all__ = ["Model", "Prepared", "Run", "run_once", "switched"]
