"""The patch as a difference: recordings just before and just after it, beside the emulator's own.

Both recordings of a pair hold the same vectors. What differs between them is what the patch did to a
real kernel; what differs between two replays is what it does to the emulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import errorcode
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from actors.execute.conform import Replay
from actors.program import Program, Step, VectorFile, load_vectors
from docs.generate.fidelity import VECTORS
from docs.generate.tables import code, table

Seen = dict[tuple[int, str], Any]
"""What was seen in one vector: by step and field."""

FIELDS = ("verdict", "ret", "out", "vmlck_kb", "vmlck_kb_all_actors", "pinned_pages")


class Change(NamedTuple):
    """One vector whose course the patch changes, at the first step where it does.

    Attributes:
        vector: its name.
        step: the number of the step.
        op: what is done there.
        before: what is seen without the patch, in words.
        after: with it.
        later: how many later steps differ, too.
        kind: what the patch did, in words.
    """

    vector: str
    step: int
    op: str
    before: str
    after: str
    later: int
    kind: str


class Witness(Replay):
    """A replay that remembers what it saw."""

    def __init__(self, program: Program, file: VectorFile) -> None:
        super().__init__(program, file.generation, file.pinned_counts)
        self.seen: Seen = {}

    def compare(self, index: int, step: Step, field: str, expected: Any, actual: Any) -> None:
        """Remember what a step came to, whatever was expected."""
        name, _, actor = field.partition(".")
        if actor:
            self.seen.setdefault((index, name), {})[int(actor)] = actual
        else:
            self.seen[index, name] = actual
        super().compare(index, step, field, expected, actual)


def patch(argument: str) -> str:
    """The difference of two files: counts, then scenario by scenario."""
    before, after = (load_vectors(str(VECTORS / f"{name}.json")) for name in argument.split())
    recorded = list(changes(before, after, recorded_by))
    emulated = list(changes(before, after, emulated_by))
    steps = sum(change.later + 1 for change in recorded)
    compared = sum(program.tag != "danger" for program in before.programs)
    lines = [
        f"{compared} vectors; {len(recorded)} of them take another course after the patch,"
        f" in {steps} steps. The emulator's own difference is {verdict(recorded, emulated)}.",
        "",
    ]
    ordered = sorted(recorded, key=lambda change: (KINDS.index(change.kind), change.vector))
    for kind, group in groupby(ordered, key=lambda change: change.kind):
        lines += [f"**{kind}**", "", table(HEAD, [row(change, emulated) for change in group])]
    return "\n".join(lines)


HEAD = ("scenario", ">step", "", "before", "after", ">later steps", "emulator")


def verdict(recorded: list[Change], emulated: list[Change]) -> str:
    """How the two differences compare."""
    if recorded == emulated:
        return "the same, step by step"
    wrong = {change.vector for change in set(recorded) ^ set(emulated)}
    return f"another one in {', '.join(sorted(wrong))}"


def row(change: Change, emulated: list[Change]) -> tuple[object, ...]:
    """A change as a row of the table."""
    same = "same" if change in emulated else "differs"
    return code(change.vector), change.step, code(change.op), change.before, change.after, change.later, same


def changes(before: VectorFile, after: VectorFile, seen_by: Any) -> Iterator[Change]:
    """The vectors of two files that differ in what was seen, in the order of the files."""
    others = {program.name: program for program in after.programs}
    for program in before.programs:
        if program.tag == "danger" or program.name not in others:
            continue
        change = first_change(program, seen_by(program, before), seen_by(others[program.name], after))
        if change is not None:
            yield change


def first_change(program: Program, one: Seen, other: Seen) -> Change | None:
    """Where what was seen begins to differ; None when it never does."""
    steps = {step for step, _ in one} & {step for step, _ in other}
    differ = sorted(step for step in steps if any(one.get((step, f)) != other.get((step, f)) for f in FIELDS))
    if not differ:
        return None
    at, op = differ[0], program.setup[differ[0]].op
    fields = [field for field in FIELDS if one.get((at, field)) != other.get((at, field))]
    return Change(
        program.name,
        at,
        op,
        words(one, at, fields),
        words(other, at, fields),
        len(differ) - 1,
        kind(other, at, op),
    )


def words(seen: Seen, step: int, fields: list[str]) -> str:
    """What was seen at a step, in the fields that matter."""
    if seen.get((step, "verdict")) is not None:
        return f"never returns ({seen[step, 'verdict']})"
    if "vmlck_kb_all_actors" in fields:
        fields = [field for field in fields if field != "vmlck_kb"]
    return ", ".join(phrase(field, seen[step, field]) for field in fields if (step, field) in seen) or "ends"


def phrase(field: str, value: Any) -> str:
    """One thing that was seen."""
    if field == "ret":
        return f"returns -{errorcode[-value]}" if value < 0 else f"returns {value}"
    if field == "vmlck_kb_all_actors":
        return " and ".join(f"{charged}" for _, charged in sorted(value.items())) + " KiB charged"
    return {"out": "gives {}", "vmlck_kb": "{} KiB charged", "pinned_pages": "{} pages pinned"}[field].format(
        value
    )


RELEASE = "The release of a container gives back what it has registered"
TWICE = "A container registers a range once"
OTHERS = "A container takes back only what it has registered itself"
ENDLESS = "A release may never end, which came with the patch"
ELSE = "What follows from that"
KINDS = [RELEASE, TWICE, OTHERS, ENDLESS, ELSE]


def kind(after: Seen, step: int, op: str) -> str:
    """What the patch did where the courses part."""
    if after.get((step, "verdict")) is not None:
        return ENDLESS
    if op in ("close", "unsetcont"):
        return RELEASE
    return {"reg": TWICE, "unreg": OTHERS}.get(op, ELSE)


def recorded_by(program: Program, _: VectorFile) -> Seen:
    """What the recording of a vector saw."""
    seen: Seen = {}
    for index, step in enumerate(program.setup):
        if step.ret is not None:
            seen[index, "ret"] = step.ret[0]
        for field in FIELDS[2:]:
            value = getattr(step.observed, field, None)
            if value is not None:
                seen[index, field] = dict(value) if field in ("out", "vmlck_kb_all_actors") else value
    if program.verdict is not None:
        seen[len(program.setup) - 1, "verdict"] = program.verdict
    return seen


@cache
def emulated_by(program: Program, file: VectorFile) -> Seen:
    """What a replay of a vector saw, of the fields that were recorded."""
    witness = Witness(program, file)
    witness.result()
    return witness.seen
