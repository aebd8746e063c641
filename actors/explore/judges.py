"""What ends a run, and who looks: the link between campaigns and oracles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from actors.explore.result import Finding, Result
from actors.runtime.errors import Deadlock, KernelOops, Livelock, UseAfterFree
from hw import EntryOutsideTable, FreeOfPinnedFrame, HardwareError, PinUnderflow, UseOfFreedFrame

if TYPE_CHECKING:
    from actors.machine import Machine


class Failed(Exception):
    """A run has failed and goes on no further.

    Args:
        verdict: one of the verdicts of a result.
        invariant: the invariant of section J, or "".
        message: one line.
        accesses: the accesses that explain it.
    """

    def __init__(self, verdict: str, invariant: str, message: str, accesses: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.invariant = invariant
        self.message = message
        self.accesses = accesses


class Judge(Protocol):
    """Whoever looks at a machine while it runs.

    Attributes:
        every_step: whether :meth:`step` wants to be called.
        findings: breaches noted that do not end the run.
    """

    every_step: bool
    findings: list[Finding]

    def step(self) -> None:
        """A scheduling step was made."""

    def at_rest(self) -> None:
        """A system call has ended."""

    def quiescent(self, final: bool) -> None:
        """All threads have ended; ``final``: and what comes after them too."""


class Watch:
    """The judge that only listens to what the modelled kernel says of itself: WARNs and misuses."""

    every_step = False

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.findings: list[Finding] = []

    def step(self) -> None:
        """Nothing to do."""

    def at_rest(self) -> None:
        """Look whether the kernel has complained.

        Raises:
            Failed: it has.
        """
        world = self.machine.world
        if world.misuses:
            invariant, message, place = world.misuses[0]
            raise Failed("violation", invariant, f"{place}: {message}")
        if world.warnings:
            message, place = world.warnings[0]
            raise Failed("warning", "", f"{place}: {message}")

    def quiescent(self, final: bool) -> None:
        """Look once more."""
        self.at_rest()


JudgeMaker = Callable[["Machine"], Judge]

HARDWARE_INVARIANTS: tuple[tuple[type[HardwareError], str], ...] = (
    (EntryOutsideTable, "J-T3"),
    (PinUnderflow, "J-P1"),
    (FreeOfPinnedFrame, "J-P2"),
    (UseOfFreedFrame, "J-P2"),
)


def failure_of(problem: BaseException) -> Result:
    """What an exception that ended a run means."""
    message = " ".join(str(problem).split())
    if isinstance(problem, Failed):
        return Result(problem.verdict, problem.invariant, message, accesses=problem.accesses)
    if isinstance(problem, UseAfterFree):
        return Result("violation", problem.invariant, message)
    if isinstance(problem, KernelOops):
        return Result("oops", problem.invariant, message)
    if isinstance(problem, HardwareError):
        invariant = next((name for kind, name in HARDWARE_INVARIANTS if isinstance(problem, kind)), "J-P1")
        return Result("violation", invariant, f"{type(problem).__name__}: {message}")
    if isinstance(problem, Deadlock):
        return Result("deadlock", "", message)
    assert isinstance(problem, Livelock)
    return Result("livelock", "J-Q3", message)


__all__ = ["Failed", "Judge", "JudgeMaker", "Watch", "failure_of"]
