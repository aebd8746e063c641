"""Async Python scenarios: a function of a machine, run in many orders."""

from __future__ import annotations

from actors.check import Oracles
from actors.errors import KernelError
from actors.execute.steps import Execution
from actors.explore.arena import Arena
from actors.explore.result import Result
from actors.explore.run import CALM, Run
from actors.explore.verdicts import ENDINGS, OracleMaker, findings_of, unexpected
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.machine import Machine, Scenario
from actors.program import MachineSpec, Program
from actors.runtime.errors import ForeignAwait, TaskKilled
from actors.machine.threads import foreign, place_of


class PreparedScenario:
    """An async function of a machine, ready to be run in many orders.

    Args:
        scenario: the function; it starts concurrent threads with ``machine.threads()``.
        kernel: what it runs on.
        oracles: who looks.
        spec: what the machine is made of.
        name: for reports; the function's own when left out.
    """

    def __init__(
        self,
        scenario: Scenario,
        kernel: Kernel | str = "fixed",
        oracles: OracleMaker = Oracles,
        spec: MachineSpec | None = None,
        name: str = "",
    ) -> None:
        self.scenario = scenario
        self.name = name or getattr(scenario, "__qualname__", "scenario")
        self.kernel = find_kernel(kernel) if isinstance(kernel, str) else kernel
        self.kernel_name = self.kernel.name
        self.oracles = oracles
        self.program = Program(self.name)
        self.snapshot = Machine.boot(Arena(CALM), self.kernel, spec).snapshot()

    def run(self, core: Arena) -> Result:
        """Run the scenario, and judge when it has ended."""
        machine = Machine.restore(core, self.snapshot)
        run = Run(core, machine, Execution(machine), self.program, self.oracles)
        core.spawn(machine.harness, self.body(machine), "scenario")
        try:
            core.run()
            run.conclude()
        except ENDINGS as problem:
            return run.ended(problem)
        except BaseException:
            run.abandon()
            raise
        return Result(steps=core.steps, findings=findings_of(run.oracles))

    async def body(self, machine: Machine) -> None:
        """The scenario; what it does not expect is a failed expectation."""
        try:
            await self.scenario(machine)
        except (AssertionError, KernelError, TaskKilled) as problem:
            what = str(problem) or type(problem).__name__
            raise unexpected(f"{place_of(problem)}: {what}") from problem
        except (ForeignAwait, RuntimeError) as problem:
            raise foreign(problem, machine.core) or problem from None


__all__ = ["PreparedScenario"]
