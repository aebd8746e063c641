"""Running a program once, in the order that a chooser makes.

What comes before the concurrent part is played once; every order then starts from a copy of the
machine at rest.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, runtime_checkable

from actors.errors import KernelError
from actors.execute.steps import SKIPPED, Execution, Outcome
from actors.explore.arena import STEP_BUDGET, Arena
from actors.explore.judges import Failed, Judge, JudgeMaker, Watch, failure_of
from actors.explore.result import Result
from actors.kernel import messages as m
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.machine import Machine, Scenario
from actors.program import Program, Step, ThreadSpec, allowed_results
from actors.runtime.core import Calm, Chooser
from actors.runtime.errors import Deadlock, EmulatorError, KernelOops, Livelock, TaskKilled
from actors.runtime.sync import Completion
from hw import HardwareError

CALM = Calm()


@runtime_checkable
class Model(Protocol):
    """Anything that can be run in many orders."""

    name: str
    kernel_name: str

    def run(self, core: Arena) -> Result:
        """Run from the start to the end on ``core``, whose chooser decides."""


class Prepared:
    """A program whose setup has been carried out, ready to be run in many orders.

    Attributes:
        program: the program.
        kernel: the kernel it runs on.
        snapshot: the machine at rest after the setup, with what the names of the program stand for.
    """

    def __init__(
        self, program: Program, kernel: Kernel | str = "fixed", judge: JudgeMaker | None = None
    ) -> None:
        self.program = program
        self.name = program.name
        self.kernel = compose(program, kernel)
        self.kernel_name = self.kernel.name
        self.judge = judge or Watch
        self.early: Result | None = None
        self.snapshot = b""
        self.state: tuple[Any, ...] = ()
        self._play_setup()

    def _play_setup(self) -> None:
        core = Arena()
        machine = Machine.boot(core, self.kernel, self.program.machine)
        execution = Execution(machine)
        run = Run(core, machine, execution, self.program, self.judge(machine))
        try:
            run.alone(execution.start())
            run.play(self.program.setup, "setup")
            run.give_tasks()
        except ENDINGS as problem:
            self.early = run.ended(problem)
            return
        self.snapshot = machine.snapshot()
        self.state = (dict(execution.bases), dict(execution.processes), execution.names)

    def run(self, core: Arena) -> Result:
        """Run the threads in the order that the chooser of ``core`` makes, then what comes after."""
        if self.early is not None:
            return self.early
        machine = Machine.restore(core, self.snapshot)
        bases, processes, names = self.state
        execution = Execution(machine, bases)
        execution.processes = dict(processes)
        execution.names = {actor: dict(fds) for actor, fds in names.items()}
        return Run(core, machine, execution, self.program, self.judge(machine)).result()


def compose(program: Program, kernel: Kernel | str) -> Kernel:
    """The kernel of that name with the defects that the program switches on and off."""
    if isinstance(kernel, Kernel):
        return kernel
    if not program.with_ and not program.without:
        return find_kernel(kernel)
    slugs = find_kernel(kernel).slugs
    return find_kernel(
        kernel, [s for s in program.with_ if s not in slugs], [s for s in program.without if s in slugs]
    )


ENDINGS = (Failed, KernelOops, HardwareError, Deadlock, Livelock)
"""What may end a run before its time."""


class Run:
    """One program on one machine, once."""

    def __init__(
        self, core: Arena, machine: Machine, execution: Execution, program: Program, judge: Judge
    ) -> None:
        self.core = core
        self.machine = machine
        self.execution = execution
        self.program = program
        self.judge = judge
        self.arrivals: dict[int, Completion] = {}
        core.after_step = judge.step if judge.every_step else None
        core.on_oops = self.oopsed
        machine.world.on_return = judge.at_rest

    def result(self) -> Result:
        """Run threads, judge, run what comes last, judge again."""
        try:
            self.start()
            self.core.run()
            self.core.chooser = CALM
            if self.program.finally_:
                self.judge.quiescent(final=False)
                self.play(self.program.finally_, "finally")
            self.judge.quiescent(final=True)
        except ENDINGS as problem:
            return self.ended(problem)
        return Result(steps=self.core.steps, findings=tuple(self.judge.findings))

    def ended(self, problem: BaseException) -> Result:
        """Turn what ended the run into a result."""
        self.machine.world.on_return = None
        self.core.on_oops = None
        self.core.close()
        return failure_of(problem)._replace(steps=self.core.steps, findings=tuple(self.judge.findings))

    def oopsed(self, thread: Any, problem: KernelOops) -> None:
        """A thread has crashed: that ends the run."""
        raise problem

    # -- threads -------------------------------------------------------------------------------

    def give_tasks(self) -> None:
        """Make every thread of a process that exists a task of its own, as it was before it said anything."""
        for spec in self.program.threads:
            if spec.actor in self.execution.processes:
                self.alone(self.execution.call(spec.actor, m.CloneThread(spec.name)))

    def start(self) -> None:
        """Create all threads of the program."""
        for spec in self.program.threads:
            for actor in mentioned(spec):
                if actor not in self.execution.processes and actor not in self.arrivals:
                    self.arrivals[actor] = Completion(self.core, f"actor:{actor}", "whoever forks it")
        for spec in self.program.threads:
            self.core.spawn(self.machine.harness, self.thread(spec), spec.name)

    async def thread(self, spec: ThreadSpec) -> None:
        """Make the steps of one thread; the end of its process is its own."""
        try:
            for index, step in enumerate(spec.steps):
                if not await self.there(spec, step):
                    return
                outcome = await self.execution.step(step, spec.actor, spec.cpu)
                self.expect(step, outcome, f"{spec.name}[{index}]")
                if step.new_actor in self.arrivals:
                    self.arrivals[step.new_actor].complete()
                if outcome.note == SKIPPED and spec.actor is not None and step.op != "run":
                    return
        finally:
            for step in spec.steps:
                if step.new_actor in self.arrivals:
                    self.arrivals[step.new_actor].complete()

    async def there(self, spec: ThreadSpec, step: Step) -> bool:
        """Wait until whoever makes the step exists; False when nobody will create it any more."""
        for actor in (spec.actor, step.target):
            if actor in self.arrivals and actor not in self.execution.processes:
                await self.arrivals[actor].wait()
                if actor not in self.execution.processes:
                    return False
        return True

    def expect(self, step: Step, outcome: Outcome, place: str) -> None:
        """Hold what a step returned against what it should return.

        Raises:
            Failed: it differs.
        """
        if step.ret is None and step.errno is None:
            return
        right = allowed_results(step)
        if right is not None and outcome.ret is not None and outcome.ret not in right:
            wanted = " or ".join(map(str, sorted(right)))
            raise Failed("expectation", "", f"{place} {step.op}: returned {outcome.ret}, expected {wanted}")

    # -- one thing after another ---------------------------------------------------------------

    def play(self, steps: tuple[Step, ...], name: str) -> None:
        """Carry steps out in order, alone, each with everything that follows from it."""
        for index, step in enumerate(steps):
            outcome: Outcome = self.alone(self.execution.step(step))
            self.expect(step, outcome, f"{name}[{index}]")
            self.core.run()

    def alone(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine as the only thread of the machine and return its result."""
        thread = self.core.spawn(self.machine.harness, body, "alone")
        self.core.run(thread)
        return self.core.result(thread)


def mentioned(spec: ThreadSpec) -> set[int]:
    """The processes that a thread needs."""
    actors = {spec.actor, *(step.target for step in spec.steps)}
    return {actor for actor in actors if actor is not None}


class PreparedScenario:
    """An async function of a machine, ready to be run in many orders."""

    def __init__(self, scenario: Scenario, kernel: Kernel | str = "fixed", judge: JudgeMaker | None = None,
                 spec: Any = None, name: str = "") -> None:  # fmt: skip
        self.scenario = scenario
        self.name = name or getattr(scenario, "__qualname__", "scenario")
        self.kernel = find_kernel(kernel) if isinstance(kernel, str) else kernel
        self.kernel_name = self.kernel.name
        self.judge = judge or Watch
        self.program: Program | None = None
        self.snapshot = Machine.boot(Arena(), self.kernel, spec).snapshot()

    def run(self, core: Arena) -> Result:
        """Run the scenario, and judge when it has ended."""
        machine = Machine.restore(core, self.snapshot)
        judge = self.judge(machine)
        run = Run(core, machine, Execution(machine), Program(self.name), judge)
        thread = core.spawn(machine.harness, self.body(machine), "scenario")
        try:
            core.run()
            core.result(thread)
            core.chooser = CALM
            judge.quiescent(final=True)
        except TaskKilled as problem:
            return run.ended(Failed("expectation", "", f"scenario: {problem}"))
        except ENDINGS as problem:
            return run.ended(problem)
        return Result(steps=core.steps, findings=tuple(judge.findings))

    async def body(self, machine: Machine) -> None:
        """The scenario; what it does not expect is a failed expectation."""
        try:
            await self.scenario(machine)
        except (AssertionError, KernelError) as problem:
            what = str(problem) or "assertion failed"
            raise Failed("expectation", "", f"{where(problem)}: {what}") from problem


def where(problem: BaseException) -> str:
    """File and line of the scenario in which an error arose."""
    trace, place = problem.__traceback__, "scenario"
    while trace is not None:
        code = trace.tb_frame.f_code
        if "actors" not in code.co_filename.split("/")[-3:-1]:
            place = f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def run_once(model: Model, chooser: Chooser, budget: int = STEP_BUDGET, every: bool = False) -> Result:
    """Run a model once in the order that ``chooser`` makes.

    Raises:
        EmulatorError: a mistake of the emulator, not of the kernel.
    """
    return model.run(Arena(chooser, budget, every))


__all__ = ["EmulatorError", "Model", "Prepared", "PreparedScenario", "Run", "run_once"]
