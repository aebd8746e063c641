"""Recorded vectors answered by the sequential model alone.

``Execution`` makes of each step what it makes of it on a machine; who answers is the model. No actor runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

from actors.execute.steps import Execution
from actors.kernel.generations import GENERATIONS
from actors.kernel.uapi import UserPointer
from actors.linear.history import decode
from actors.linear.model import Model, Operation, Unmodelled
from actors.linear.rules import rules_of
from actors.program import Program, Step, VectorFile
from actors.runtime.errors import TaskKilled
from tests.conformance.lab import Lab


class Replayed(NamedTuple):
    """What the replay of a file came to; ``left_out`` counts steps by the reason."""

    steps: int
    agreed: int
    differences: tuple[str, ...]
    left_out: dict[str, int]


class ModelMachine:
    """What ``Execution`` needs of a machine."""

    def __init__(self, program: Program, slugs: Iterable[str]) -> None:
        self.spec = program.machine
        self.page_size = self.spec.page_size
        self.memory = SimpleNamespace(page_shift=self.page_size.bit_length() - 1)
        self.model = Model(rules_of(set(slugs), self.spec), alone=True)
        self.state = self.model.initial()
        self.world = SimpleNamespace(group_ids=[f"group:{n}" for n in range(self.spec.groups)])
        self.core = self
        self.children = 0

    @property
    def actors(self) -> Any:
        """Processes as ``Execution`` looks at them: which descriptors there are, and of what."""
        names = self.state.processes
        return {name: SimpleNamespace(files=self.files(name), world=self.world) for name in names}

    def files(self, name: str) -> dict[int, Any]:
        """Descriptor -> the actor behind it, for groups."""
        files = {fd: self.state.files[n] for fd, n in self.state.processes[name].fds.items()}
        return {fd: SimpleNamespace(actor=f"{file.kind}:{file.target}") for fd, file in files.items()}

    async def spawn(self, comm: str) -> Any:
        """Start a process."""
        self.state, _ = self.model.step(self.state, Operation(comm, "spawn"))
        return SimpleNamespace(id=comm, call=lambda request: self.request(comm, request))

    async def request(self, target: str, request: Any) -> Any:
        """Answer a request as the model does."""
        op = Operation(target, *decode(request, self.actors[target]))
        if op.call == "fork":
            self.children += 1
            op = op._replace(args=(f"child{self.children}", op.args[1]))
        self.state, answer = self.model.step(self.state, op)
        pointer = getattr(request, "arg", None)
        if isinstance(pointer, UserPointer) and pointer.data is not None:
            pointer.data[:] = answer.data
        if self.state.processes[target].exiting:
            raise TaskKilled(target)
        return answer.ret

    def locked_kb(self, name: str) -> int:
        """VmLck of a process in KiB."""
        return self.model.locked(self.state, self.state.processes[name].mm) * self.page_size >> 10

    def pinned_pages(self) -> int:
        """All pinned pages."""
        _, answer = self.model.step(self.state, Operation("", "look"))
        pinned: int = answer.data[1]
        return pinned


def run(body: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        body.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the model never waits")


def twins(kernel: str = "v6.12") -> tuple[Lab, Execution]:
    """A machine, and the model in its place, each with one process."""
    lab = Lab(kernel, groups=1)
    model = ModelMachine(Program("x"), lab.machine.world.kernel.slugs)
    execution = Execution(model)  # type: ignore[arg-type]
    run(execution.start())
    return lab, execution


def replay_file(file: VectorFile) -> Replayed:
    """Replay all vectors of a file; of each, up to the first step that the model does not know."""
    steps = agreed = 0
    differences: list[str] = []
    left_out: Counter[str] = Counter()
    slugs = GENERATIONS[file.generation].slugs
    for program in file.programs:
        steps += len(program.setup)
        machine = ModelMachine(program, slugs)
        execution = Execution(machine)  # type: ignore[arg-type]
        run(execution.start())
        for index, step in enumerate(program.setup):
            try:
                wrong = compare(machine, execution, step, file.pinned_counts)
            except Unmodelled as reason:
                left_out[str(reason)] += len(program.setup) - index
                break
            if step.ret is None:
                left_out["the kernel never answered"] += 1
            elif wrong:
                differences.append(f"{program.name}[{index}] {step.op}: {wrong}")
            else:
                agreed += 1
    return Replayed(steps, agreed, tuple(differences), dict(left_out))


def compare(machine: ModelMachine, execution: Execution, step: Step, counts: str) -> str:
    """Carry a step out; "" or in what it differs from the recording."""
    outcome = run(execution.step(step))
    seen = step.observed
    if step.ret is None or seen is None:
        return ""
    if outcome.ret != step.ret[0]:
        return f"returned {step.ret[0]}, model {outcome.ret}"
    if seen.out is not None and dict(seen.out) != outcome.out:
        return f"out {dict(seen.out)}, model {outcome.out}"
    for actor, kb in (seen.vmlck_kb_all_actors or {step.actor: seen.vmlck_kb}).items():
        if kb is not None and kb != machine.locked_kb(execution.processes[actor]):
            return f"VmLck of actor {actor} {kb}, model {machine.locked_kb(execution.processes[actor])}"
    if seen.pinned_pages is not None and counts == "v1+v2" and seen.pinned_pages != machine.pinned_pages():
        return f"pinned {seen.pinned_pages}, model {machine.pinned_pages()}"
    return ""
