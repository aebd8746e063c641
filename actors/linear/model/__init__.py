"""The sequential reference model: what the driver does when nobody disturbs it.

Written from the description of the kernel, not from the actors, and sharing nothing with them: values and
pure functions. Each call is a sequence of steps, most of them one; a step is what the kernel does in one
moment as far as anybody else can tell.
"""

from __future__ import annotations

from actors.linear.model.mapping import MappingCalls
from actors.linear.model.values import (
    Answer,
    Dict,
    Group,
    Local,
    Operation,
    Rules,
    State,
    Steps,
    Unmodelled,
)

BEGIN: Local = ("begin",)
"""How far a call is that has not begun."""

APART = ("spawn", "kill", "dma", "look")
"""What no process calls."""

UNANSWERED = Answer(None)


class Model(MappingCalls):
    """The model of one machine with one kernel; it has no state of its own.

    Args:
        rules: the machine, and in what the kernel differs.
        alone: nothing ever runs beside a call, so that long ones are done as one step.
        counts: somebody may notice that regions are counted down after their entries are emptied.
        maps: where MAPs may write: bus address and the end, in bytes.
    """

    def __init__(
        self, rules: Rules, alone: bool = False, counts: bool = True, maps: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self.rules = rules
        self.alone = alone
        self.counts = counts
        self.maps = maps

    def initial(self) -> State:
        """The machine as it boots."""
        return State(Dict(), Dict(), Dict(), Dict(), (Group(),) * self.rules.groups)

    def advance(self, state: State, op: Operation, local: Local = BEGIN) -> Steps:
        """What a call may do next; nothing when it cannot go on, or never begins.

        Raises:
            Unmodelled: nobody knows.
        """
        steps: Steps = getattr(self, local[0])(state, op, *local[1:])
        return steps

    def begin(self, state: State, op: Operation) -> Steps:
        """The first step of a call: a process that ends makes none."""
        if op.call in APART:
            steps: Steps = getattr(self, op.call)(state, op)
            return steps
        process = state.processes.get(op.process)
        if process is None or process.exiting:
            return []
        state = state.with_process(op.process, calls=process.calls + 1)
        # An exit between entering the kernel and finding the file cannot be told from one after both.
        return self.entered(state, op) if op.call == "ioctl" else [(state, ("entered",))]

    def entered(self, state: State, op: Operation) -> Steps:
        """What the call does, now that it has begun; an exit of its process lets it finish."""
        handler = getattr(self, f"sys_{op.call}", None)
        if handler is None:
            raise Unmodelled(op.call)
        found: Steps = []
        for after, local in handler(state, op, state.processes[op.process], *op.args):
            found += self.ended(after, op, local) if isinstance(local, Answer) else [(after, local)]
        return found

    def step(self, state: State, op: Operation) -> tuple[State, Answer]:
        """Carry a whole call out, nothing beside it: the state after it and its answer.

        Raises:
            Unmodelled: nobody knows.
        """
        local: Local | Answer = BEGIN
        while not isinstance(local, Answer):
            steps = self.advance(state, op, local)
            if not steps:
                return state, UNANSWERED
            state, local = steps[0]
        return state, local


__all__ = ["BEGIN", "UNANSWERED", "Answer", "Model", "Operation", "Rules", "State", "Unmodelled"]
