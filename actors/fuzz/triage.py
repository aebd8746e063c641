"""A failure that is new to a campaign: which known defect it is, how small it gets, how to replay it.

The defects of the kernel are switched off, many at a time and then one by one, as long as the failure
stays. Those without which it goes away are its cause; when none are left it is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import structs

from actors.explore.failure import Failure, Switches, capture
from actors.explore.result import Result
from actors.explore.shrink import shrink
from actors.explore.strategies import Lenient, ReplayDivergence
from actors.fuzz.generate.mutate import repaired
from actors.fuzz.reproduce import Reproducer
from actors.fuzz.trial import BUDGET, Hit
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.kernel.generations import GENERATIONS
from actors.program import MachineSpec, Program, Step

CAUSE_ORDERS, SHRINK_ORDERS, SINGLE_ORDERS = 40, 16, 120
"""Orders in which a kernel without a defect, a smaller program, or a kernel with a single defect gets the
chance to fail."""
MOST_STEPS = 600_000
"""Scheduling steps that looking into one failure may take."""
SEQUENTIAL_ORDERS = 4
"""Orders for a smaller program whose failure needs no preemption."""
FIRST_ATTEMPTS, SHRINK_ATTEMPTS = 80, 150
"""Orders that are tried to shorten a failing order, before and after the program is made small."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A distinct failure.

    Attributes:
        signature: what tells it from others: the defects behind it, or the key of a new one.
        known: the defects behind it; none for a new one.
        only_without: defects that the kernel has and that had been switched off: with them it does not
            fail, so it shows a kernel that never was.
        key: the key of the hit that it was made from.
        verdict, invariant, message: what came out.
        program: the smallest program that shows it.
        failure: the failing order, as a failure file; None when it could not be found again.
    """

    signature: str
    known: tuple[str, ...]
    key: str
    verdict: str
    invariant: str
    message: str
    program: Program
    failure: Failure | None = None
    only_without: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``known: slug``, ``NEW``, or a mistake of the emulator."""
        if self.verdict == "mistake":
            return "mistake of the emulator"
        return f"known: {' + '.join(self.known)}" if self.known else "NEW"


def triage(
    program: Program, kernel: Switches, hit: Hit, explained: tuple[str, ...] = (), off: tuple[str, ...] = ()
) -> Finding | None:
    """Classify a failure and make it small.

    Args:
        program: what failed.
        kernel: on what.
        hit: how.
        explained: defects that have been found already.
        off: defects among those that ``kernel`` goes without only because they were found.

    Returns:
        The finding; None for one more failure by a defect that has been found already.
    """
    case = Reproducer(hit, MOST_STEPS)
    whole = kernel.compose()
    if case.search(program, whole, CAUSE_ORDERS) is None:
        return lost(program, hit)
    present = tuple(slug for slug in explained if slug in whole.slugs)
    if present and case.search(program, less(kernel, present), CAUSE_ORDERS) is None:
        return None
    known = cause(case, program, kernel)
    if not known and (needed := missed(case, program, kernel, off)):
        return lost(program, hit, needed)
    lean = less(kernel, tuple(slug for slug in defects(whole) if slug not in known))
    program, result = Smaller(case, lean).of(program)
    named = structs.replace(
        program, name=name_of(known, hit), about=f"{hit.invariant or hit.verdict}: {about(known)}"
    )
    return finding(case, named, (whole, lean), result, known)


def about(known: tuple[str, ...]) -> str:
    """Which defects a program shows, in words."""
    return "shows " + " and ".join(known) if known else "shows what no known defect explains"


def name_of(known: tuple[str, ...], hit: Hit) -> str:
    """A name for the program of a finding."""
    return "fuzz-" + ("-".join(known) or f"new-{hit.invariant or hit.verdict}")


def lost(program: Program, hit: Hit, missing: tuple[str, ...] = ()) -> Finding:
    """A failure that does not show again, or only where something is missing: kept as it was found."""
    why = f"only without {' + '.join(missing)}" if missing else "did not show again"
    return Finding(
        signature=f"NEW {hit.key} ({why})", known=(), key=hit.key, verdict=hit.verdict,
        invariant=hit.invariant, message=hit.message, program=program, only_without=missing,
    )  # fmt: skip


# -- causes ------------------------------------------------------------------------------------


def defects(kernel: Kernel) -> tuple[str, ...]:
    """The defects of a kernel, in the order of the catalogue."""
    return tuple(piece.slug for piece in kernel.pieces if piece.defect)


def less(kernel: Switches, slugs: tuple[str, ...]) -> Kernel:
    """A kernel without some of its defects."""
    usual = GENERATIONS[kernel.name].slugs
    with_ = [slug for slug in kernel.with_ if slug not in slugs]
    without = [*kernel.without, *(slug for slug in slugs if slug in usual)]
    return find_kernel(kernel.name, with_, without)


def cause(case: Reproducer, program: Program, kernel: Switches) -> tuple[str, ...]:
    """The fewest defects with which the program still fails in that way; none when it needs none."""
    needed = suspects_last(case.hit, kernel.compose())
    everything = frozenset(needed)
    size = len(needed)
    while size:
        at = 0
        while at < len(needed):
            fewer = (*needed[:at], *needed[at + size :])
            off = tuple(slug for slug in defects(kernel.compose()) if slug in everything - frozenset(fewer))
            if case.search(program, less(kernel, off), CAUSE_ORDERS) is not None:
                needed = fewer
            else:
                at += size
        size //= 2
    return single(case, program, kernel, needed) if len(needed) > 1 else needed


def single(case: Reproducer, program: Program, kernel: Switches, needed: tuple[str, ...]) -> tuple[str, ...]:
    """One of several defects, if it is enough; orders differ without the others, so more are tried."""
    everything = defects(kernel.compose())
    enough = [slug for slug in needed if case.harmless(program, less(kernel, (slug,)), CAUSE_ORDERS)]
    if len(enough) == 1:
        return (enough[0],)
    for slug in reversed(needed):
        alone = less(kernel, tuple(other for other in everything if other != slug))
        if case.search(program, alone, SINGLE_ORDERS) is not None:
            return (slug,)
    return needed


def missed(case: Reproducer, program: Program, kernel: Switches, off: tuple[str, ...]) -> tuple[str, ...]:
    """The switched-off defects with any one of which the program does not fail at all."""
    return tuple(slug for slug in off if case.harmless(program, more(kernel, slug), CAUSE_ORDERS))


def more(kernel: Switches, slug: str) -> Kernel:
    """A kernel with a defect back that it went without."""
    without = tuple(each for each in kernel.without if each != slug)
    with_ = kernel.with_ if slug in kernel.without else (*kernel.with_, slug)
    return find_kernel(kernel.name, with_, without)


def suspects_last(hit: Hit, kernel: Kernel) -> tuple[str, ...]:
    """The defects of a kernel, those behind that are known to break what was broken."""
    signs = {hit.invariant or hit.verdict, hit.verdict}
    pieces = [piece for piece in kernel.pieces if piece.defect]
    pieces.sort(key=lambda piece: bool(signs.intersection(piece.invariants)))
    return tuple(piece.slug for piece in pieces)


# -- size --------------------------------------------------------------------------------------


class Smaller:
    """Makes a program smaller as long as it fails in the same way.

    Args:
        case: the failure.
        kernel: what it is run on: only the defects behind the failure, so that no other one takes over.
    """

    def __init__(self, case: Reproducer, kernel: Kernel) -> None:
        self.case = case
        self.kernel = kernel

    def of(self, program: Program) -> tuple[Program, Result | None]:
        """The smaller program and its failing order, None when it failed no more."""
        best = self.case.search(program, self.kernel, SHRINK_ORDERS)
        if best is None:
            return program, None
        best = self.simpler(program, best)
        self.follow(best)
        shrunk = True
        while shrunk:
            shrunk, at = False, 0
            while (smaller := self.cut(program, at)) is not None:
                orders = SHRINK_ORDERS if best.preemptions else SEQUENTIAL_ORDERS
                found = self.case.search(smaller, self.kernel, orders) if smaller != program else None
                if found is None:
                    at += 1
                else:
                    program, best, shrunk = smaller, found, True
                    self.follow(best)
        return program, best

    def simpler(self, program: Program, result: Result) -> Result:
        """The order that fails with fewer preemptions: smaller programs are easier to make fail in it."""
        campaign = self.case.campaign(program, self.kernel, BUDGET)
        attempts = FIRST_ATTEMPTS if self.case.hit.verdict != "livelock" else 0
        return shrink(result, lambda chooser: campaign.recorded(chooser)[0], attempts)

    def follow(self, result: Result) -> None:
        """Begin the next search with the order that was found last."""
        self.case.choices = tuple(choice.taken for choice in result.choices)
        self.case.order = result.order

    def cut(self, program: Program, number: int) -> Program | None:
        """The ``number``-th way to leave something out, large pieces first; None when there are no more."""
        for at, smaller in enumerate(cuts(program)):
            if at == number:
                return smaller
        return None


def cuts(program: Program) -> Iterator[Program]:
    """A program with less in it: threads, runs of steps, single steps, parts of the machine."""
    threads = program.threads
    for number in range(len(threads)):
        yield repaired(structs.replace(program, threads=(*threads[:number], *threads[number + 1 :])))
    for key in ("finally_", "setup"):
        yield from (
            repaired(structs.replace(program, **{key: steps})) for steps in shorter(getattr(program, key))
        )
    for number, thread in enumerate(threads):
        for steps in shorter(thread.steps):
            fewer = (structs.replace(thread, steps=steps),) if steps else ()
            yield repaired(
                structs.replace(program, threads=(*threads[:number], *fewer, *threads[number + 1 :]))
            )
    for changes in plainer(program.machine):
        yield repaired(structs.replace(program, machine=structs.replace(program.machine, **changes)))


def plainer(machine: MachineSpec) -> Iterator[dict[str, Any]]:
    """Changes that make a machine smaller, or more usual."""
    usual = MachineSpec()
    for key in ("page_size", "platform", "dma32_window_size", "rlimit_memlock"):
        if getattr(machine, key) != getattr(usual, key):
            yield {key: getattr(usual, key)}
    for key in ("groups", "cpus"):
        yield from ({key: fewer} for fewer in range(1, getattr(machine, key)))


def shorter(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The steps without half of them, a quarter ... one, from behind."""
    size = max(1, len(steps) // 2)
    while steps:
        for end in range(len(steps), 0, -size):
            yield (*steps[: max(0, end - size)], *steps[end:])
        if size == 1:
            return
        size //= 2


# -- the file ----------------------------------------------------------------------------------


def finding(
    case: Reproducer,
    program: Program,
    kernels: tuple[Kernel, Kernel],
    result: Result | None,
    known: tuple[str, ...],
) -> Finding:
    """The finding with its failing order shortened, on the whole kernel if it shows there."""
    hit, failure, message = case.hit, None, case.hit.message
    whole = case.search(program, kernels[0], SHRINK_ORDERS)
    kernel = kernels[0] if whole is not None else kernels[1]
    best = whole if whole is not None else result
    if best is not None:
        message = best.message
        failure = recorded(case, program, kernel, best)
    return Finding(
        signature=" + ".join(known) or f"NEW {hit.key}", known=known, key=hit.key, verdict=hit.verdict,
        invariant=hit.invariant, message=message, program=program, failure=failure,
    )  # fmt: skip


def recorded(case: Reproducer, program: Program, kernel: Kernel, result: Result) -> Failure | None:
    """The failure file of an order, after it has been shortened."""
    campaign = case.campaign(program, kernel)
    attempts = SHRINK_ATTEMPTS if case.hit.verdict != "livelock" else 0
    again = campaign.recorded(Lenient([choice.taken for choice in result.choices]))[0]
    if not case.same(again):
        return None
    short = shrink(again, lambda chooser: campaign.recorded(chooser)[0], attempts)
    try:
        return capture(program, kernel, short, fail_nth=case.fault, fatal=case.hit.fatal)
    except ReplayDivergence:
        return None


__all__ = ["Finding", "triage"]
