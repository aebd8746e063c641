"""The model of :mod:`tests.benchmarks.peers` with plain threads, searched by frontrun.

Prints executions a second. It is a program of its own, since frontrun has to be there before the
interpreter starts.
"""

from __future__ import annotations

import threading

import frontrun

from tests.benchmarks.harness import seconds

ROUNDS = 20


class State:
    """What the threads share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.listed = self.used = 0
        self.closed = False


def register(state: State) -> None:
    with state.lock:
        if not state.closed:
            state.listed += 1
            state.used += 1


def unregister(state: State) -> None:
    with state.lock:
        if state.used:
            state.used -= 1
            state.listed -= 1


def teardown(state: State) -> None:
    with state.lock:
        state.closed = True
        state.listed = 0
        state.used = 0


def search() -> int:
    """Search all classes of orders; how many executions that took."""
    found = frontrun.explore(
        State,
        [register, unregister, teardown],
        lambda state: not state.listed and not state.used,
        preemption_bound=None,
        stop_on_first=False,
    )
    return int(found.num_explored)


if __name__ == "__main__":
    executions = 0

    def many() -> None:
        global executions  # noqa: PLW0603 - a program of one page
        for _ in range(ROUNDS):
            executions += search()

    took = seconds(many)
    print(executions / took)
