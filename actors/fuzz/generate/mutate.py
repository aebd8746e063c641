"""Changing programs that were worth keeping, and making whatever comes out fit to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from msgspec import structs

from actors.fuzz.generate.draw import Draw
from actors.fuzz.generate.grammar import ENDS, RULES, run_on
from actors.fuzz.generate.scene import Scene
from actors.program import OPS, Program, Refusal, Step, ThreadSpec
from actors.program.check import check

MOST_THREADS, MOST_STEPS = 4, 12
MOST_REPAIRS = 40
"""Steps that may be dropped before a program is given up."""

Threads = list[list[Step]]


def mutate(parents: Sequence[Program], seed: int) -> Program:
    """A changed copy of the first parent; the second gives it threads when they are spliced."""
    return Mutation(parents, Random(seed)).program(seed)


class Mutation:
    """One program on its way to another.

    Args:
        parents: the program to change, and another one to take threads from.
        random: decides everything.
    """

    def __init__(self, parents: Sequence[Program], random: Random) -> None:
        self.parent, self.other = parents[0], parents[-1]
        self.random = random
        self.setup = list(self.parent.setup)
        self.threads: Threads = [list(thread.steps) for thread in self.parent.threads]
        self.owners = list(self.parent.threads)
        self.draw = Draw(random, Scene.of(self.parent), random.choice((0.97, 0.9, 0.75)))

    def program(self, seed: int) -> Program:
        """The program after one to four changes."""
        for _ in range(1 + self.random.randrange(4)):
            self.random.choices(CHANGES, CHANGE_WEIGHTS)[0](self)
        threads = [
            structs.replace(owner, name=f"t{number}", steps=tuple(steps[:MOST_STEPS]))
            for number, (owner, steps) in enumerate(zip(self.owners, self.threads, strict=True))
            if steps
        ]
        changed: Program = structs.replace(
            self.parent, name=f"fuzz-{seed}", setup=tuple(self.setup), threads=tuple(threads[:MOST_THREADS])
        )
        return repaired(changed)

    # -- what can be changed -------------------------------------------------------------------

    def list_of_steps(self) -> tuple[list[Step], ThreadSpec | None]:
        """The steps of a thread, or sometimes of the setup, and whose they are."""
        if not self.threads or self.random.random() < 0.25:
            return self.setup, None
        number = self.random.randrange(len(self.threads))
        return self.threads[number], self.owners[number]

    def new_step(self, owner: ThreadSpec | None, op: str | None = None) -> Step | None:
        """A step for a thread or for the setup."""
        if owner is not None and owner.cpu is not None:
            return run_on(self.draw, owner.cpu)
        alive = self.draw.scene.alive or [0]
        actor = owner.actor if owner is not None and owner.actor is not None else self.random.choice(alive)
        if op is None or op not in RULES:
            op = self.random.choices(list(RULES), [weight for weight, _ in RULES.values()])[0]
        if owner is None and op in ENDS:
            return None
        step = RULES[op][1](self.draw, actor)
        if step is not None and owner is None:
            step = structs.replace(step, actor=actor)
        if step is not None:
            self.draw.scene.absorb(step, actor)
        return step

    def insert(self) -> None:
        """Put a new step somewhere."""
        steps, owner = self.list_of_steps()
        step = self.new_step(owner)
        if step is not None:
            steps.insert(self.random.randrange(len(steps) + 1), step)

    def delete(self) -> None:
        """Drop a step."""
        steps, _ = self.list_of_steps()
        if steps:
            del steps[self.random.randrange(len(steps))]

    def duplicate(self) -> None:
        """Do a step twice."""
        steps, _ = self.list_of_steps()
        if steps:
            at = self.random.randrange(len(steps))
            steps.insert(at, steps[at])

    def swap(self) -> None:
        """Exchange two neighbours."""
        steps, _ = self.list_of_steps()
        if len(steps) > 1:
            at = self.random.randrange(len(steps) - 1)
            steps[at], steps[at + 1] = steps[at + 1], steps[at]

    def replace(self) -> None:
        """Do something else instead."""
        steps, owner = self.list_of_steps()
        if steps:
            step = self.new_step(owner)
            at = self.random.randrange(len(steps))
            steps[at] = step if step is not None else steps[at]

    def change_argument(self) -> None:
        """Draw one argument of a step anew."""
        steps, owner = self.list_of_steps()
        if not steps:
            return
        at = self.random.randrange(len(steps))
        old = steps[at]
        new = self.new_step(owner, old.op)
        if new is None or new.op != old.op:
            return
        fields = [name for name in OPS[old.op].fields if getattr(new, name) != getattr(old, name)]
        fields = [name for name in fields if name not in ("newfd", "new_actor")]
        if fields:
            field = self.random.choice(fields)
            steps[at] = structs.replace(old, **{field: getattr(new, field)})

    def move(self) -> None:
        """Move a step from one thread, or from the setup, into another thread of the same kind."""
        owned = [n for n, owner in enumerate(self.owners) if owner.actor is not None]
        if not owned:
            return
        target = self.random.choice(owned)
        sources = [self.threads[n] for n in owned if n != target] + [self.setup]
        steps = self.random.choice(sources)
        at = self.random.randrange(len(steps)) if steps else 0
        if steps and steps[at].cpu is None:
            step = structs.replace(steps.pop(at), actor=None)
            self.threads[target].insert(self.random.randrange(len(self.threads[target]) + 1), step)

    def splice(self) -> None:
        """Take a thread of the other program as well, or instead."""
        if not self.other.threads:
            return
        thread = self.random.choice(self.other.threads)
        if len(self.threads) < MOST_THREADS and self.random.random() < 0.6:
            self.owners.append(thread)
            self.threads.append(list(thread.steps))
        elif self.threads:
            at = self.random.randrange(len(self.threads))
            self.owners[at], self.threads[at] = thread, list(thread.steps)

    def add_thread(self) -> None:
        """Start one more thread, often with a call that another one makes too."""
        owned = [n for n, owner in enumerate(self.owners) if owner.actor is not None]
        if len(self.threads) >= MOST_THREADS or not owned:
            return
        twin = self.random.choice(owned)
        op = self.random.choice(self.threads[twin]).op if self.threads[twin] else None
        step = self.new_step(self.owners[twin], op)
        if step is not None:
            self.owners.append(self.owners[twin])
            self.threads.append([step])


CHANGES: tuple[Callable[[Mutation], None], ...] = (
    Mutation.insert, Mutation.delete, Mutation.duplicate, Mutation.swap, Mutation.replace,
    Mutation.change_argument, Mutation.move, Mutation.splice, Mutation.add_thread,
)  # fmt: skip
CHANGE_WEIGHTS = (4, 1, 1.5, 1.5, 3, 5, 1.5, 2, 2)


def repaired(program: Program) -> Program:
    """The program without what cannot run: steps on names that nothing makes, actors nobody forks."""
    for _ in range(MOST_REPAIRS):
        program = without_circles(program)
        try:
            check(program)
        except Refusal as refusal:
            program = without_place(program, refusal.path)
        else:
            return program
    return structs.replace(program, threads=(), finally_=())


def without_circles(program: Program) -> Program:
    """The program without threads that wait for each other's processes.

    A thread waits until the processes exist that it belongs to or kills. So one that has a process made
    elsewhere to wait for forks none itself, but for threads of that process, which fork later ones.
    """
    makers = {step.new_actor for step in program.setup if step.new_actor is not None} | {0}
    threads = tuple(
        structs.replace(thread, steps=tuple(step for step in thread.steps if fits(thread, step, makers)))
        for thread in program.threads
    )
    if threads == program.threads:
        return program
    threads = tuple(thread for thread in threads if thread.steps)
    return structs.replace(program, threads=threads)


def fits(thread: ThreadSpec, step: Step, early: set[int]) -> bool:
    """Whether a step of a thread neither forks an older process nor waits before a fork."""
    forks = any(each.new_actor is not None for each in thread.steps)
    if step.new_actor is not None:
        return thread.actor is not None and step.new_actor > thread.actor
    return not (forks and step.target is not None and step.target not in early)


def without_place(program: Program, path: tuple[str | int, ...]) -> Program:
    """The program without the step, or the thread, at a path that the checker has named."""
    where, number = path[0], int(path[1])
    if where == "threads" and len(path) > 3 and path[2] == "steps":
        thread = program.threads[number]
        steps = (*thread.steps[: int(path[3])], *thread.steps[int(path[3]) + 1 :])
        fewer = (structs.replace(thread, steps=steps),) if steps else ()
        threads = (*program.threads[:number], *fewer, *program.threads[number + 1 :])
        return structs.replace(program, threads=threads)
    key = {"setup": "setup", "threads": "threads", "finally": "finally_"}[str(where)]
    parts = getattr(program, key)
    return structs.replace(program, **{key: (*parts[:number], *parts[number + 1 :])})
