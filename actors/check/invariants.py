"""What the oracles hold a kernel to: every invariant by its name, and what is looked for besides."""

from __future__ import annotations

from typing import NamedTuple


class Invariant(NamedTuple):
    """One invariant.

    Attributes:
        sentence: what must hold.
        when: ``step`` (whenever no operation is in the middle), ``return`` (of a system call), ``access``
            (at the access itself), ``message`` (when a request begins to be served), ``quiescence``
            (nothing is in flight) or ``end`` (everything is closed and gone).
        module: where it is judged.
    """

    sentence: str
    when: str
    module: str


INVARIANTS: dict[str, Invariant] = {
    "J-M1": Invariant(
        "a container that is bound to an mm holds its struct exactly once, so the struct is not freed",
        "step",
        "lifetime",
    ),
    "J-M2": Invariant(
        "mm_count is what its named holders hold, and each of them still has reason to", "step", "lifetime"
    ),
    "J-M3": Invariant(
        "the context of an mm is destroyed when no holder is left, and then it has no regions",
        "step",
        "lifetime",
    ),
    "J-R1": Invariant("the regions of an mm are not empty and do not overlap", "step", "regions"),
    "J-R2": Invariant(
        "a region is counted once by each container that lists it; what is listed is alive",
        "step",
        "regions",
    ),
    "J-R3": Invariant("mapped is 1 more than the TCEs that point into the region", "step", "regions"),
    "J-P1": Invariant("a page is pinned once for each region and each v1 TCE that holds it", "step", "pins"),
    "J-P2": Invariant(
        "a pinned page is never freed or reused, and a device never meets a free page", "access", "devices"
    ),
    "J-P3": Invariant("no region pins pages inside CMA", "step", "pins"),
    "J-L1": Invariant(
        "locked_vm is the process's own mlock plus live regions plus tables plus enabled v1 windows",
        "step",
        "accounting",
    ),
    "J-L2": Invariant("the pages that v1 TCEs pin are charged for", "step", "accounting"),
    "J-L3": Invariant(
        "locked_vm is never negative or wrapped, and never given back twice", "step", "accounting"
    ),
    "J-T1": Invariant(
        "every TCE points to the page that its container registered (v2) or pinned (v1) for it",
        "step",
        "mappings",
    ),
    "J-T2": Invariant(
        "every byte of a mapped IOMMU page lies in one contiguous pinned piece", "step", "mappings"
    ),
    "J-T3": Invariant("no entry outside a table is read or written", "access", "blame"),
    "J-T4": Invariant(
        "a translation that a bridge still knows points to a page pinned for its container",
        "access",
        "devices",
    ),
    "J-T5": Invariant(
        "no TCE is left in a table that its last group, or its container, lets go of", "message", "release"
    ),
    "J-T6": Invariant(
        "an entry that was stored reads back the same until it is overwritten", "step", "returns"
    ),
    "J-T7": Invariant("a slot of the userspace view is set exactly where there is a TCE", "step", "mappings"),
    "J-W1": Invariant("every attached group has exactly the windows of its container", "step", "windows"),
    "J-W2": Invariant(
        "while the default window is owed slot 0 is empty, and it is made once, at bus address 0",
        "step",
        "windows",
    ),
    "J-W3": Invariant(
        "a table is referenced by its container and by the groups it is set in, and by nobody else",
        "step",
        "windows",
    ),
    "J-W4": Invariant(
        "the windows of a container start where their slots do and do not overlap", "step", "windows"
    ),
    "J-D1": Invariant("a page that a device could write to is dirty when its pin is gone", "step", "dirty"),
    "J-E1": Invariant(
        "an enabled container has registered something (v2) or is charged for its window (v1)",
        "step",
        "windows",
    ),
    "J-A1": Invariant("a driver ioctl returns 0 or a negative errno", "return", "returns"),
    "J-A2": Invariant("a MAP maps all it was asked for, or nothing of it and says so", "return", "returns"),
    "J-A3": Invariant("an ioctl that fails changes nothing", "return", "returns"),
    "J-K1": Invariant("no lock is held when a system call has ended", "return", "lockdep"),
    "J-K2": Invariant("nothing is used after it was freed", "access", "blame"),
    "J-K3": Invariant("locks are taken in one order", "access", "lockdep"),
    "J-K4": Invariant("RCU read sections are left as often as they are entered", "return", "lockdep"),
    "J-Q1": Invariant(
        "nothing stays pinned for a container that is gone, whoever still holds the mm",
        "quiescence",
        "quiescence",
    ),
    "J-Q2": Invariant("nothing stays charged for a container that is gone", "quiescence", "quiescence"),
    "J-Q3": Invariant("a release ends", "step", "blame"),
    "J-Q4": Invariant(
        "when all is closed and gone, no mm, region, table or pin is left and the host has its windows",
        "end",
        "quiescence",
    ),
    "J-Q5": Invariant(
        "a release clears the TCEs, then puts the regions, then drops the mm", "message", "release"
    ),
}
"""The invariants by name."""

FINDINGS = frozenset({"J-A1", "J-A2", "J-A3"})
"""Invariants about return codes: a breach is noted and the run goes on, so that it hides nothing else."""

VERDICTS: dict[str, str] = {
    "violation": "an invariant does not hold",
    "oops": "the modelled kernel crashed",
    "warning": "the modelled kernel logged a WARN",
    "race": "two accesses of one variable, one of them a write, that nothing orders",
    "sleeping": "a thread may sleep where it must not",
    "deadlock": "threads wait for each other",
    "livelock": "a run does not end",
}
"""What a finding can be."""
