"""What ends a run, and how that becomes a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.check import Oracles, Violation, blame
from actors.explore.result import Finding, Result
from actors.machine import Machine
from actors.runtime.errors import Deadlock, KernelOops, Livelock
from hw import HardwareError

OracleMaker = Callable[[Machine], Oracles]
"""Makes, for each order, whoever looks at the machine while it runs."""


class Failed(Exception):
    """A run has failed and goes on no further.

    Attributes:
        violation: what was found.
    """

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


ENDINGS = (Failed, KernelOops, HardwareError, Deadlock, Livelock)
"""What may end a run before its time; anything else is a mistake of the emulator."""


def unexpected(message: str) -> Failed:
    """A failed expectation."""
    return Failed(Violation("", message, "expectation"))


def raise_first(violations: Iterable[Violation]) -> None:
    """End the run if anything was found.

    Raises:
        Failed: with the first of ``violations``.
    """
    for violation in violations:
        raise Failed(violation)


def failure_of(problem: BaseException) -> Result:
    """What an exception that ended a run means."""
    violation = problem.violation if isinstance(problem, Failed) else blame(problem)
    assert violation is not None
    return Result(violation.verdict, violation.invariant, violation.message, accesses=violation.accesses)


def findings_of(oracles: Oracles) -> tuple[Finding, ...]:
    """What was noted while the run went on."""
    return tuple(Finding(found.invariant or found.verdict, found.message) for found in oracles.findings)


__all__ = ["ENDINGS", "Failed", "OracleMaker", "failure_of", "findings_of", "raise_first", "unexpected"]
