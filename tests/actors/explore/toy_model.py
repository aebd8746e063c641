"""Models that are no machine: a few threads on shared variables, for strategies to be measured on."""

from __future__ import annotations

from collections.abc import Callable

from actors.explore.arena import Arena
from actors.explore.result import Result
from actors.explore.verdicts import ENDINGS, failure_of
from actors.runtime.errors import KernelOops


class ToyModel:
    """A function that creates threads on a runtime, and another that judges the end.

    The threads stand at their first operations from the start, so that operations are all there is to
    be ordered.

    Args:
        build: creates shared variables and threads; returns a check, which returns "" or what is wrong.
        name: for reports.
    """

    kernel_name = ""

    def __init__(self, build: Callable[[Arena], Callable[[], str] | None], name: str = "toy") -> None:
        self.build = build
        self.name = name

    def run(self, core: Arena) -> Result:
        """Run all threads to the end and judge."""
        check = core.judge = self.build(core)
        core.on_oops = oopsed
        try:
            boot = core.current
            for thread in list(core.threads.values()):
                core.segment(thread)
            core.current = boot
            core.run()
            wrong = check() if check is not None else ""
        except ENDINGS as problem:
            core.close()
            return failure_of(problem)._replace(steps=core.steps)
        except BaseException:
            core.close()
            raise
        return Result("violation", "", wrong, core.steps) if wrong else Result(steps=core.steps)


def oopsed(thread: object, problem: KernelOops) -> None:
    """A thread has crashed: that ends the run."""
    raise problem


__all__ = ["ToyModel"]
