"""What makes a well-formed file a program that can run.

Reading has settled keys and types. Here the parts are held against each other: who acts, on
which CPU, in which group, on a descriptor that someone opens, in a region that someone maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from actors.program.address import Address
from actors.program.errors import Refusal, refuse
from actors.program.ops import OPENERS, OPS
from actors.program.values import Program, Step, ThreadSpec

Known = Callable[[str], bool]


class Place(NamedTuple):
    """A step and where it stands; `thread` is None in setup and finally."""

    path: tuple[str | int, ...]
    thread: ThreadSpec | None
    step: Step

    @property
    def actor(self) -> int | None:
        """The process that acts."""
        own = self.step.actor
        return own if own is not None or self.thread is None else self.thread.actor

    @property
    def cpu(self) -> int | None:
        """The CPU that acts."""
        own = self.step.cpu
        return own if own is not None or self.thread is None else self.thread.cpu


def check(program: Program, kernel: Known | None = None, defect: Known | None = None) -> None:
    """Refuse a program that cannot run.

    Args:
        program: As read.
        kernel: Says whether a kernel of that name exists; None takes any.
        defect: The same for a defect's slug.

    Raises:
        Refusal: With the path of the offending field.
    """
    _check_known(program, kernel, defect)
    _check_threads(program)
    for place in places(program):
        try:
            _check_who(place)
            _check_numbers(program, place)
        except Refusal as refusal:
            raise refusal.within(*place.path) from None
    _check_created_once(program)
    for relation in RELATIONS:
        _check_defined(program, relation)
    _check_nobody_waits_for_ever(program)


def places(program: Program) -> Iterator[Place]:
    """Every step of the program with its place, in the order of the file."""
    yield from (Place(("setup", i), None, step) for i, step in enumerate(program.setup))
    for t, thread in enumerate(program.threads):
        yield from (Place(("threads", t, "steps", i), thread, step) for i, step in enumerate(thread.steps))
    yield from (Place(("finally", i), None, step) for i, step in enumerate(program.finally_))


def _check_known(program: Program, kernel: Known | None, defect: Known | None) -> None:
    lists = (("kernels", program.kernels), ("expect", program.expect))
    switches = (("with", program.with_), ("without", program.without))
    for known, kind, named in ((kernel, "kernel", lists), (defect, "defect", switches)):
        for key, names in named:
            for index, name in enumerate(names):
                if known is not None and not known(name):
                    where = name if key == "expect" else index
                    raise refuse(name, f"a known {kind}").within(key, where)
    for index, name in enumerate(program.without):
        if name in program.with_:
            raise Refusal(f"{name!r} is also in `with`", "without", index)


def _check_threads(program: Program) -> None:
    names: set[str] = set()
    for index, thread in enumerate(program.threads):
        if thread.name in names:
            raise Refusal(f"another thread is named {thread.name!r}", "threads", index, "name")
        names.add(thread.name)
        if (thread.actor is None) == (thread.cpu is None):
            found = "neither" if thread.actor is None else "both"
            raise Refusal(f"found {found}, expected an actor or a cpu", "threads", index)
        _below("cpu", thread.cpu, program.machine.cpus, "cpus", "threads", index)


def _check_who(place: Place) -> None:
    step, thread, who = place.step, place.thread, OPS[place.step.op].who
    if who in ("process", "stream"):
        if place.actor is None:
            raise Refusal(f"missing, {step.op!r} is done by a process", "actor")
        if step.cpu is not None:
            raise Refusal(f"{step.op!r} is done by a process, not by a CPU", "cpu")
    if who == "cpu" and place.cpu is None:
        raise Refusal(f"missing, {step.op!r} is done by a CPU", "cpu")
    if step.op == "abort" and step.target is None and place.actor is None:
        raise Refusal("missing, no process stands here to be killed", "target")
    if thread is not None:
        _check_same_owner(thread, step)


def _check_same_owner(thread: ThreadSpec, step: Step) -> None:
    """A step may say whose it is again, but not that it is someone else's."""
    if step.actor is not None and step.actor != thread.actor:
        raise Refusal(f"found {step.actor}, but the thread is {_owner(thread)}'s", "actor")
    if step.cpu is not None and thread.cpu is not None and step.cpu != thread.cpu:
        raise Refusal(f"found {step.cpu}, but the thread is {_owner(thread)}'s", "cpu")


def _owner(thread: ThreadSpec) -> str:
    return f"cpu {thread.cpu}" if thread.actor is None else f"actor {thread.actor}"


def _check_numbers(program: Program, place: Place) -> None:
    step, machine = place.step, program.machine
    _below("cpu", step.cpu, machine.cpus, "cpus")
    _below("group_index", step.group_index, machine.groups, "groups")
    _below("group", step.group, machine.groups, "groups")
    if step.op in ("mmap", "touch", "dma") and step.size == Address():
        raise refuse(0, "a size above 0").within("size")
    if ("huge" in (step.mmap_flags or ())) != (step.hshift is not None):
        raise Refusal('belongs to mmap_flags "huge", and to no other', "hshift")


def _below(key: str, value: int | None, count: int, what: str, *outer: str | int) -> None:
    if value is not None and value >= count:
        raise refuse(value, f"less than the machine's {what}, {count}").within(*outer, key)


def _check_created_once(program: Program) -> None:
    created = {0}
    for place in places(program):
        new = place.step.new_actor
        if new is None:
            continue
        if new in created:
            raise Refusal(f"actor {new} exists already", *place.path, "new_actor")
        created.add(new)


class Relation(NamedTuple):
    """Names that some steps give and others use."""

    defines: Callable[[Step], Iterable[object]]
    uses: Callable[[Place], Iterable[tuple[str, object]]]
    complaint: str
    initial: frozenset[object] = frozenset()


def _opens(step: Step) -> Iterable[object]:
    return (getattr(step, OPENERS[step.op]),) if step.op in OPENERS else ()


def _uses_descriptors(place: Place) -> Iterable[tuple[str, object]]:
    step = place.step
    if step.fd is not None and OPENERS.get(step.op) != "fd":
        yield "fd", step.fd
    if step.container not in (None, "-1"):
        yield "container", step.container


def _maps(step: Step) -> Iterable[object]:
    return (step.addr.region,) if step.op == "mmap" and step.addr else ()


def _uses_regions(place: Place) -> Iterable[tuple[str, object]]:
    for key, address in (("addr", place.step.addr), ("vaddr", place.step.vaddr)):
        if address is not None and address.region is not None and place.step.op != "mmap":
            yield key, address.region


def _creates(step: Step) -> Iterable[object]:
    return () if step.new_actor is None else (step.new_actor,)


def _uses_actors(place: Place) -> Iterable[tuple[str, object]]:
    step = place.step
    pairs = (("actor", place.actor), ("target", step.target), ("task", _task_actor(step)))
    yield from ((key, actor) for key, actor in pairs if actor is not None)


def _task_actor(step: Step) -> int | None:
    kind, _, number = (step.task or "").partition(":")
    return int(number) if kind == "actor" else None


RELATIONS = (
    Relation(_creates, _uses_actors, "no step creates actor {}", frozenset({0})),
    Relation(_opens, _uses_descriptors, "no step opens {!r}"),
    Relation(_maps, _uses_regions, "no step maps region {!r}"),
)


def _check_defined(program: Program, relation: Relation) -> None:
    """Setup and finally run in order, so a name must come first; a thread may wait for any other."""
    known: set[object] = set(relation.initial)
    before_threads = True
    for place in places(program):
        if before_threads and place.path[0] != "setup":
            steps = (step for thread in program.threads for step in thread.steps)
            known.update(name for step in steps for name in relation.defines(step))
            before_threads = False
        for key, name in relation.uses(place):
            if name not in known:
                when = " before this" if place.path[0] == "setup" else ""
                raise Refusal(relation.complaint.format(name) + when, *_path_of(place, key))
        known.update(relation.defines(place.step))


def _check_nobody_waits_for_ever(program: Program) -> None:
    """Refuse a thread that waits for a process which nobody who gets that far creates.

    A thread waits until the process exists that it belongs to, and a kill until that which it kills does.
    """
    there = {0, *(new for step in program.setup for new in _creates(step))}
    left = {index: list(thread.steps) for index, thread in enumerate(program.threads)}
    while ready := [i for i in left if not _waits_for(program.threads[i], left[i]) - there]:
        for index in ready:
            there.update(_creates(left[index].pop(0)) if left[index] else ())
        left = {index: steps for index, steps in left.items() if steps or index not in ready}
    for index, steps in left.items():
        thread = program.threads[index]
        own = thread.actor is not None and thread.actor not in there
        missing = thread.actor if own else steps[0].target
        path = ("actor",) if own else ("steps", len(thread.steps) - len(steps), "target")
        raise Refusal(f"no step that can run creates actor {missing}", "threads", index, *path)


def _waits_for(thread: ThreadSpec, steps: list[Step]) -> set[int]:
    """The processes that must exist before a thread does the next of its steps."""
    return {actor for actor in (thread.actor, steps[0].target if steps else None) if actor is not None}


def _path_of(place: Place, key: str) -> tuple[str | int, ...]:
    """The path of a field; the actor of a thread's step stands at the thread."""
    inherited = key == "actor" and place.step.actor is None
    return (*place.path[:2], key) if inherited else (*place.path, key)
