"""What running a program came to: one order, and a whole campaign of orders."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import msgspec

from actors.trace.interleaving import Table, as_json

RECORDED_ONLY = frozenset({"J-A1", "J-A2", "J-A3"})
"""Invariants of return codes: a breach is noted and the run goes on."""


class Finding(NamedTuple):
    """A breach of an invariant that does not end a run; ``race`` is one too."""

    invariant: str
    message: str

    @property
    def kind(self) -> str:
        """What makes two of them one: the invariant, of races also the variable."""
        return self.message.partition(": ")[0] if self.invariant == "race" else self.invariant


class Choice(NamedTuple):
    """One decision of a run.

    Attributes:
        options: how many there were.
        taken: which one; 0 is the calm one.
        label: the thread that went on, or what was decided.
    """

    options: int
    taken: int
    label: str


class Result(NamedTuple):
    """What one order came to.

    Attributes:
        verdict: ``ok``, ``violation``, ``deadlock``, ``livelock``, ``oops``, ``race``, ``warning`` or
            ``expectation``.
        invariant: the invariant of section J that was broken, or "".
        message: one line for people.
        steps: scheduling steps made.
        findings: breaches that were noted while the run went on.
        choices: every decision, when the run was recorded.
        preemptions: how often a thread was stopped that could have gone on, when recorded.
        accesses: the accesses that explain the failure, as the oracle names them.
        order: ``(thread, steps)`` stretches, when the run was recorded.
    """

    verdict: str = "ok"
    invariant: str = ""
    message: str = ""
    steps: int = 0
    findings: tuple[Finding, ...] = ()
    choices: tuple[Choice, ...] = ()
    preemptions: int = 0
    accesses: tuple[str, ...] = ()
    order: tuple[tuple[str, int], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing ended the run before its time."""
        return self.verdict == "ok"

    @property
    def signature(self) -> tuple[str, str, str]:
        """What makes two failures the same one: verdict, invariant, and what kind of thing it is about."""
        kind = "".join(c for c in self.message.split(":")[0] if not c.isdigit())
        return self.verdict, self.invariant, kind if self.verdict in ("oops", "expectation") else ""


class Explanation(msgspec.Struct, frozen=True):
    """Why an order failed.

    Attributes:
        table: the steps that matter, by thread.
        facts: the two racing accesses, or who holds what and who waits for it; one sentence each.
    """

    table: Table
    facts: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        return {"interleaving": as_json(self.table), "facts": list(self.facts)}


class Report(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a campaign came to; the fields of ``tcemu stress --json``.

    Attributes:
        program: its name.
        kernel: the kernel it ran on.
        strategy: who chose the orders.
        schedules: orders run.
        complete: whether every order was covered, up to equivalence.
        points: the most scheduling points that one order had.
        seconds: wall time; 0 when no clock was asked for.
        verdict: of the first failing order, or ``ok``.
        invariant: of the first failing order.
        message: of the first failing order.
        known_as: the defect behind it, when it is a known one.
        findings: what was noted without ending a run, each invariant once.
        schedules_to_first_failure: how many orders it took; None without a failure.
        preemptions: of the failing order as it is kept.
        failure_file: where it was written.
        failure: the failing order with its choices.
        estimate: how many orders there may be in all; None when nobody knows.
        places: of kill points or failure points that were tried in turn: in how many of them every
            order was covered, and how many they are; None for a search of one thing.
        explanation: why the failing order failed.
        notes: steps of the setup that failed and do not say that they may.
        campaign: what can run the failing order again, where ``explore`` has just come from; it is no part
            of the value, and is left behind when a report is copied or sent.
    """

    campaign: ClassVar[Any] = None
    program: str
    kernel: str
    strategy: str
    schedules: int
    complete: bool
    points: int
    seconds: float = 0.0
    verdict: str = "ok"
    invariant: str = ""
    message: str = ""
    known_as: str | None = None
    findings: tuple[Finding, ...] = ()
    schedules_to_first_failure: int | None = None
    preemptions: int | None = None
    failure_file: str | None = None
    failure: Result | None = None
    estimate: float | None = None
    places: tuple[int, int] | None = None
    explanation: Explanation | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        hidden = ("failure", "explanation") if self.notes else ("failure", "explanation", "notes")
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name not in hidden}
        values |= {"findings": [finding._asdict() for finding in self.findings]}
        return values if self.explanation is None else values | self.explanation.as_json()

    def _repr_html_(self) -> str:
        """What came out as a table, and the timeline of the failing order, for a notebook."""
        from actors.notebook import html_of  # noqa: PLC0415 - the way up, which notebooks alone take

        return html_of(self)


__all__ = ["RECORDED_ONLY", "Choice", "Finding", "Report", "Result"]
