"""What a program can come to: the answers of its calls, and what is there in the end."""

from __future__ import annotations

from typing import Any

from actors.check import Oracles
from actors.explore.explore import Campaign
from actors.explore.run import Prepared
from actors.explore.strategies import Strategy
from actors.linear import Recorder
from actors.linear.history import seen
from actors.machine import Machine
from actors.program import Program

Outcome = tuple[Any, ...]


class Watch:
    """Makes oracles that also note what each order came to."""

    def __init__(self) -> None:
        self.outcomes: set[Outcome] = set()

    def __call__(self, machine: Machine, *, fatal: str = "") -> Oracles:
        return Watching(machine, self)


class Watching(Oracles):
    def __init__(self, machine: Machine, watch: Watch) -> None:
        after_setup = any(actor.kind == "process" for actor in machine.core.actors.values())
        super().__init__(machine)
        self.watch = watch
        self.recorder = Recorder(machine) if after_setup else None

    def quiescent(self, *, final: bool) -> list[Any]:
        found = super().quiescent(final=final)
        if final and self.recorder is not None and not self.violations:
            self.watch.outcomes.add(outcome(self.recorder, self.machine))
        return found


def outcome(recorder: Recorder, machine: Machine) -> Outcome:
    """The answers of each thread in their order, and what can be seen; names of children say nothing."""
    answers: dict[str, list[Any]] = {}
    for call in recorder.history.calls:
        ret, data = call.answer or (None, None)
        told = call.op.call, ret if isinstance(ret, int) else None, data
        answers.setdefault(call.thread, []).append(told)
    locked, pinned, windows = seen(machine)
    charged = tuple(sorted(pages for _, pages in locked))
    return tuple(sorted((name, *told) for name, told in answers.items())), charged, pinned, windows


class Outcomes:
    """A program that is run in orders of several strategies."""

    def __init__(self, program: Program, kernel: str) -> None:
        self.watch = Watch()
        self.prepared = Prepared(program, kernel, self.watch)
        self.watch.outcomes.clear()

    def every(self, strategy: Strategy, most: int) -> set[Outcome] | None:
        """All that the search finds; None when it does not get to its end, or finds a failure."""
        campaign = Campaign(self.prepared, strategy, None, 20_000)
        campaign.go_on(most)
        return self.found() if campaign.report().complete else None

    def some(self, strategy: Strategy, orders: int) -> set[Outcome]:
        """What some orders come to; none of them may fail."""
        campaign = Campaign(self.prepared, strategy, None, 20_000)
        for _ in range(orders):
            result = campaign.order()
            assert result is not None and result.ok, result
        return self.found()

    def found(self) -> set[Outcome]:
        found = set(self.watch.outcomes)
        self.watch.outcomes.clear()
        return found
