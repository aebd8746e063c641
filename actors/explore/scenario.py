"""Async Python scenarios: a function of a machine, run in many orders."""

from __future__ import annotations

import sys
from hashlib import sha256
from importlib import import_module
from inspect import iscoroutinefunction, signature
from pathlib import Path
from reprlib import repr as short

import msgspec

from actors.check import Oracles
from actors.errors import KernelError
from actors.execute.steps import Execution
from actors.explore.arena import Arena
from actors.explore.result import Result
from actors.explore.run import CALM, Run
from actors.explore.verdicts import ENDINGS, OracleMaker, findings_of, unexpected
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Kernel
from actors.machine import Machine, Scenario, foreign, place_of
from actors.machine.threads import arose_outside
from actors.program import MachineSpec, Program
from actors.runtime.errors import BadArgument, EmulatorError, ScenarioError, TaskKilled


class NoScenario(ValueError):
    """There is no async function of that name, or its module cannot be imported; the user's to mend."""


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario by its name, so that another process can find it.

    Attributes:
        name: ``module:function``.
        source: SHA-256 of the file that its module is read from; "" for one that is in no file.
    """

    name: str
    source: str = ""

    @classmethod
    def of(cls, scenario: Scenario) -> Function:
        """The name of a scenario.

        Raises:
            NoScenario: it cannot be found by a name: it was made by another function, or typed in.
        """
        place = getattr(scenario, "__module__", ""), getattr(scenario, "__qualname__", "")
        name = ":".join(place)
        if "__main__" in name or find_function(name) is not scenario:
            raise NoScenario(f"{name} is not a function of a module that another process could import")
        return cls(name, source_of(place[0]))

    def load(self) -> Scenario:
        """The function.

        Raises:
            NoScenario: there is none here.
        """
        return find_function(self.name)

    @property
    def changed(self) -> bool:
        """Whether the file has another content now."""
        return source_of(self.name.partition(":")[0]) != self.source


def source_of(module: str) -> str:
    """SHA-256 of the file of an imported module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else ""


def find_function(name: str) -> Scenario:
    """The async function ``module:function``, importable from here.

    Raises:
        NoScenario: there is none.
    """
    module_name, _, function_name = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise NoScenario(f"{name}: cannot import {module_name!r}: {error}") from None
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise NoScenario(f"{name}: cannot import {module_name!r}: {what}") from error
    function = getattr(module, function_name, None)
    if not iscoroutinefunction(function):
        there = [key for key, value in vars(module).items() if iscoroutinefunction(value)]
        hint = nearest(function_name, there) or f"; it has {', '.join(there) or 'none'}"
        raise NoScenario(f"{name}: {module_name} has no async function {function_name!r}{hint}")
    scenario: Scenario = function
    return scenario


def expect_scenario(scenario: Scenario, name: str = "") -> None:
    """Refuse what is no function of one argument, the machine.

    Raises:
        TypeError: it is nothing that can be called.
        ScenarioError: it takes other arguments.
    """
    if not callable(scenario):
        raise TypeError(f"found {short(scenario)}, expected a program or an async function of a machine")
    try:
        signature(scenario).bind(None)
    except TypeError:
        code = getattr(scenario, "__code__", None)
        place = f"{Path(code.co_filename).name}:{code.co_firstlineno}: " if code is not None else ""
        takes = str(signature(scenario)).partition(" -> ")[0]
        called = name or getattr(scenario, "__qualname__", "scenario")
        wrong = f"found the arguments {takes}, expected one, the machine"
        raise ScenarioError(f"{called}: {place}{wrong}") from None
    except ValueError:
        return


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
        expect_scenario(scenario, name)
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
        except SystemExit as problem:
            run.abandon()
            raise self.mistake(problem) from problem
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
        except EmulatorError as problem:
            raise foreign(problem, machine.core) or problem from None
        except Exception as problem:
            raise foreign(problem, machine.core) or self.mistake(problem) from problem

    def mistake(self, problem: BaseException) -> BaseException:
        """An error that arose in the scenario itself is the scenario's; any other goes on as it is."""
        own = isinstance(problem, BadArgument) or arose_outside(problem)
        if isinstance(problem, ENDINGS) or not own:
            return problem
        kind = "" if isinstance(problem, BadArgument) else f"{type(problem).__name__}: "
        what = " ".join(f"{kind}{problem}".split()).rstrip(": ")
        return ScenarioError(f"{self.name}: {place_of(problem)}: {what}")


__all__ = ["Function", "NoScenario", "PreparedScenario", "find_function"]
