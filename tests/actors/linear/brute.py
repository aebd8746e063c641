"""Linearizability by brute force: every way in which the steps of overlapping calls can follow each other.

No state is remembered, nothing is put off until a call returns, no call is taken as one step. Far too slow
for anything but small histories, and so simple that it cannot be wrong in the way a search can.
"""

from __future__ import annotations

from actors.linear.history import Call, History
from actors.linear.model import BEGIN, Answer, Model, State


def explained(history: History) -> bool:
    """Whether any order at all explains a history."""
    model = Model(history.rules)
    starts = history.start or {model.initial()}
    calls = {call.number: call for call in history.calls}
    return any(goes_on(model, calls, state, history.events(), {}) for state in starts)


def goes_on(
    model: Model,
    calls: dict[int, Call],
    state: State,
    left: list[tuple[Call, bool]],
    reached: dict[int, object],
) -> bool:
    """Whether the events that are left can happen: the next of them now, or first a step of an open call."""
    if not left:
        return True
    call, end = left[0]
    at = BEGIN if not end else reached[call.number]
    if not end:
        if goes_on(model, calls, state, left[1:], reached | {call.number: at}):
            return True
    elif isinstance(at, Answer):
        others = {number: there for number, there in reached.items() if number != call.number}
        if call.answer in (None, at) and goes_on(model, calls, state, left[1:], others):
            return True
    for number, local in reached.items():
        if isinstance(local, Answer):
            continue
        for after, further in model.advance(state, calls[number].op, local):  # type: ignore[arg-type]
            if goes_on(model, calls, after, left, reached | {number: further}):
                return True
    return False
