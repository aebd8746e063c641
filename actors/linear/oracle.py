"""The check as an oracle of campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.check import Oracles, Violation
from actors.linear.checker import LIMIT, Verdict, check
from actors.linear.history import History, Recorder
from actors.linear.rules import judgeable

if TYPE_CHECKING:
    from actors.machine import Machine

INVARIANT = "linearizability"
NOT_JUDGED = "not-judged"
"""What is noted of an order whose history the model cannot judge."""


class Linear:
    """Makes oracles that judge histories too; one for each program that is prepared.

    The setup of a program is recorded once; every order goes on from the states that explain it. Orders
    with the same history are judged once.

    Args:
        limit: configurations to look at before a history is given up.
        races: also look for data races, as :class:`Oracles` does.

    Attributes:
        judged: histories judged so far.
    """

    def __init__(self, limit: int = LIMIT, races: bool = False) -> None:
        self.limit = limit
        self.races = races
        self.judged = 0
        self.setup = Verdict(None, "its setup was not recorded")
        self._good: dict[Any, Verdict] = {}

    def __call__(self, machine: Machine, *, fatal: str = "") -> Oracles:
        """Make the oracles of one machine; ``fatal`` as :class:`Oracles` takes it."""
        return LinearOracles(machine, self, fatal)

    def judge(self, history: History) -> Verdict:
        """Judge a history, or remember what was found."""
        key = history.key()
        if key not in self._good:
            verdict = check(history, self.limit)
            self.judged += 1
            if verdict.ok is False:
                return verdict
            self._good[key] = verdict
        return self._good[key]


class LinearOracles(Oracles):
    """The oracles of the invariants, and the check when all has come to rest."""

    def __init__(self, machine: Machine, maker: Linear, fatal: str = "") -> None:
        self.maker = maker
        fresh = not any(actor.kind == "process" for actor in machine.core.actors.values())
        self.reason = judgeable(machine.world.kernel)
        if not fresh and maker.setup.ok is None:
            self.reason = self.reason or maker.setup.message
        super().__init__(machine, races=maker.races, fatal=fatal)
        self.fresh = fresh
        self.injected = False
        self.recorder = Recorder(machine, () if fresh else maker.setup.states)

    def detach(self) -> None:
        """Listen no longer; what was recorded from the start on explains how the machine stands."""
        super().detach()
        if self.fresh and not self.reason:
            self.maker.setup = self.maker.judge(self.recorder.history)

    def step(self) -> Violation | None:
        """Judge after a scheduling step, as :class:`Oracles` does."""
        if self.machine.core.faults is not None:
            self.injected = True
        return super().step()

    def quiescent(self, *, final: bool) -> list[Violation]:
        """Judge when nothing is in flight; at the very end, the history too."""
        super().quiescent(final=final)
        if self.violations:
            return self.violations
        self.recorder.look()
        if final:
            self.judge_history()
        return self.violations

    def judge_history(self) -> None:
        """Look for an order that explains the history; injected failures explain anything."""
        if self.injected:
            return
        verdict = Verdict(None, self.reason) if self.reason else self.verdict()
        if verdict.ok is None:
            self._found(Violation(NOT_JUDGED, verdict.message, recorded=True))
        elif not verdict.ok:
            self._found(Violation(INVARIANT, verdict.message, accesses=verdict.calls))

    def verdict(self) -> Verdict:
        """The verdict on the setup, when that has none, else on the order."""
        if not self.fresh and self.maker.setup.ok is False:
            return self.maker.setup
        return self.maker.judge(self.recorder.history)


__all__ = ["INVARIANT", "NOT_JUDGED", "Linear", "LinearOracles"]
