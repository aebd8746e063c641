"""Is there a sequential order that explains a history?

The search of Wing and Gong ("Testing and verifying concurrent objects", JPDC 1993), as Lowe made it
practical ("Testing for linearizability", CCPE 2017): calls are put in order just in time, when one of them
returns, and what was seen already (a state, and how far each open call is in it) is not looked at again.
Calls here are sequences of steps, most of them of one, so this is also Neiger's set linearizability made
smaller: a call takes effect in one moment for each step, in their order, between its beginning and its end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from actors.linear.history import Call, History
from actors.linear.model import BEGIN, Answer, Model, State, Unmodelled
from actors.linear.model.driver import MAP, REGISTER, UNREGISTER
from actors.linear.model.files import UNKNOWN
from actors.linear.model.values import Local, Steps
from actors.linear.report import report

MAP_BYTES = 32
"""Of a MAP's argument."""

LIMIT = 200_000
"""Configurations after which a history is given up."""

Configuration = tuple[State, tuple[tuple[int, Local | Answer], ...]]
"""A state, and how far each open call is in it, by number."""

Open = dict[Configuration, None]
"""Configurations in the order in which they were found: what comes first must not depend on hashes."""


class Verdict(NamedTuple):
    """What a check came to.

    Attributes:
        ok: whether an order was found; None when nobody can tell, and the message says why.
        message: for people, in one sentence; "" when an order was found.
        calls: the calls that no order explains, a line each.
        configurations: how many were looked at.
        states: the states that the history may have ended in.
    """

    ok: bool | None
    message: str = ""
    calls: tuple[str, ...] = ()
    configurations: int = 0
    states: tuple[State, ...] = ()


class GivenUp(Exception):
    """There is more to look at than was asked for."""


def check(history: History, limit: int = LIMIT) -> Verdict:
    """Say whether a history is linearizable.

    A call that never ended may have taken effect, in part or not at all.

    Args:
        history: what was recorded.
        limit: configurations to look at before it is given up.
    """
    search = Search(history, limit)
    try:
        return search.run()
    except Unmodelled as problem:
        return Verdict(None, f"the sequential model does not know {problem}", (), search.looked_at)
    except GivenUp:
        return Verdict(None, f"more than {limit:,} configurations", (), search.looked_at)


def looks_at_counts(call: Call) -> bool:
    """Whether a call asks how often a region is mapped, or whether one is still there."""
    return call.op.call == "ioctl" and call.op.args[1] in (REGISTER, UNREGISTER)


def written_by(call: Call) -> Iterator[tuple[int, int]]:
    """Where a MAP may write: bus address and the end, in bytes."""
    data = call.op.args[3] if call.op.call == "ioctl" and call.op.args[1] == MAP else None
    if data is not None and len(data) >= MAP_BYTES:
        iova, size = struct.unpack_from("<QQ", data, 16)
        yield iova, iova + size


class Search:
    """One check."""

    def __init__(self, history: History, limit: int) -> None:
        self.history = history
        self.limit = limit
        counts = any(looks_at_counts(call) for call in history.calls)
        maps = tuple(dict.fromkeys(place for call in history.calls for place in written_by(call)))
        self.model = Model(history.rules, counts=counts, maps=maps)
        self.alone = Model(history.rules, alone=True)
        self.looked_at = 0
        self.refused: dict[int, set[Answer]] = {}

    def run(self) -> Verdict:
        """Go through beginnings and ends in their order.

        Raises:
            Unmodelled, GivenUp: nobody can tell.
        """
        start = self.history.start or (self.model.initial(),)
        open_: Open = dict.fromkeys((state, ()) for state in start)
        for call, end in self.history.events():
            if not end and call.ended is None and UNKNOWN in call.op.args:
                continue  # a fork that came to no child, and the like
            if not end:
                open_ = dict.fromkeys((state, (*calls, (call.number, BEGIN))) for state, calls in open_)
                continue
            open_ = self.explained(open_, call)
            if not open_:
                message, calls = report(self.history, call, self.refused.get(call.number, set()))
                return Verdict(False, message, calls, self.looked_at)
        return Verdict(True, "", (), self.looked_at, tuple(dict.fromkeys(state for state, _ in open_)))

    def explained(self, open_: Open, call: Call) -> Open:
        """All configurations in which a call has just ended with its answer, and is open no more.

        Others go on no further than it takes: what they do afterwards can be decided later.
        """
        found: Open = {}
        seen, left = set(open_), list(open_)
        while left:
            state, calls = left.pop()
            self.looked_at += 1
            if self.looked_at > self.limit:
                raise GivenUp
            if any(number == call.number and isinstance(at, Answer) for number, at in calls):
                found[state, tuple(each for each in calls if each[0] != call.number)] = None
                continue
            for successor in self.successors(state, calls):
                if successor not in seen:
                    seen.add(successor)
                    left.append(successor)
        return found

    def successors(self, state: State, calls: tuple[tuple[int, Local | Answer], ...]) -> list[Configuration]:
        """Let each open call make its next step."""
        running = [number for number, at in calls if not isinstance(at, Answer)]
        model = self.alone if len(running) == 1 else self.model
        found: list[Configuration] = []
        for place, (number, at) in enumerate(calls):
            if isinstance(at, Answer):
                continue
            call = self.history.calls[number]
            steps: Steps = model.advance(state, call.op, at)
            for after, local in steps:
                if isinstance(local, Answer) and not self.fits(call, local):
                    self.refused.setdefault(number, set()).add(local)
                else:
                    found.append((after, (*calls[:place], (number, local), *calls[place + 1 :])))
        return found

    def fits(self, call: Call, answer: Answer) -> bool:
        """Whether an answer is the one that was recorded, if one was."""
        return call.answer is None or call.answer == answer


__all__ = ["LIMIT", "Verdict", "check"]
