"""What an oracle says, and what a crash of the modelled kernel means."""

from __future__ import annotations

from typing import NamedTuple

from actors.runtime.errors import Deadlock, KernelOops, Livelock, UseAfterFree
from hw import (
    BadGeometry,
    EntryOutsideTable,
    FreeOfPinnedFrame,
    HardwareError,
    LevelMissing,
    MisalignedAddress,
    NoSuchFrame,
    NoView,
    PageAlreadyMapped,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)


class Violation(NamedTuple):
    """One breach.

    Attributes:
        invariant: its name in section J, or "" for what has none there (see ``VERDICTS``).
        message: one sentence that a person understands, with numbers and names.
        verdict: what kind of breach.
        accesses: the accesses, or the holders, that explain it.
        recorded: True for what is noted while the run goes on; others end it.
    """

    invariant: str
    message: str
    verdict: str = "violation"
    accesses: tuple[str, ...] = ()
    recorded: bool = False

    def __str__(self) -> str:
        """Return the one line that is shown first."""
        return f"{self.invariant or self.verdict}: {self.message}"


HARDWARE: tuple[tuple[type[HardwareError], str], ...] = (
    (EntryOutsideTable, "J-T3"),
    (BadGeometry, "J-T3"),
    (LevelMissing, "J-T6"),
    (NoView, "J-K2"),
    (MisalignedAddress, "J-T2"),
    (PinUnderflow, "J-P1"),
    (ReferenceUnderflow, "J-P1"),
    (FreeOfPinnedFrame, "J-P2"),
    (UseOfFreedFrame, "J-P2"),
    (NoSuchFrame, "J-P2"),
    (PageAlreadyMapped, "J-P2"),
)
"""What the hardware detects -> the invariant that it breaks.

Whoever uses a table has seen its userspace view, so a view that is not there was freed meanwhile. A page
that is mapped over loses its frame, and a table that no window has would be walked outside.
"""


def blame(problem: BaseException) -> Violation | None:
    """Say what an exception that ended a run means; None when it is nothing the kernel did."""
    message = " ".join(str(problem).split())
    if isinstance(problem, UseAfterFree):
        return Violation("J-K2", message)
    if isinstance(problem, KernelOops):
        return Violation(problem.invariant, message, "oops")
    if isinstance(problem, HardwareError):
        name = next((name for kind, name in HARDWARE if isinstance(problem, kind)), "J-P1")
        return Violation(name, message)
    if isinstance(problem, Deadlock):
        return Violation(
            "", message, "deadlock", tuple(f"{t} waits for {o}, held by {h}" for t, o, h in problem.waits)
        )
    if isinstance(problem, Livelock):
        return Violation("J-Q3", message, "livelock")
    return None
