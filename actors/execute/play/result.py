"""What playing a stream came to, as values and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from actors.execute.play.reasons import UNEXPLAINED
from actors.execute.play.remains import Remains


class Difference(NamedTuple):
    """A reply that is not the recorded one.

    Attributes:
        call: index of the call in the stream.
        op: the call as the client named it.
        recorded: the recorded reply, a negative errno for an error; of ``field`` when that is set.
        actual: the emulator's.
        why: the slug of a defect, a section of the kernel's description, ``recorder`` or ``unexplained``.
        field: the field copied back that differs; "" for the return value.
    """

    call: int
    op: str
    recorded: int
    actual: int
    why: str
    field: str = ""


class OpCount(NamedTuple):
    """How often a call was made, and how often it failed."""

    calls: int
    errors: int


class PlayResult(NamedTuple):
    """What playing one stream came to.

    Attributes:
        file: the stream's file as the caller named it.
        kernel: name of the kernel.
        calls: calls made.
        seconds: time it took, without looking for who is to blame.
        by_op: calls and errors by the client's name of the call.
        differences: return values that differ from the recorded ones, in order.
        out_differences: fields copied back that differ.
        borrowed: what was left while kernel threads still borrowed the client's address space; None when
            none did.
        final: what is left at the very end.
        left_by: slugs of the pieces behind what is left.
        remarks: what the client's developers should know.
        verdict: ``ok``, or ``oops``, ``deadlock``, ``livelock`` that ended it before its time.
        message: what happened then, in one line.
        warnings: modelled WARNs, as ``(message, function)``.
    """

    file: str
    kernel: str
    calls: int
    seconds: float
    by_op: dict[str, OpCount]
    differences: tuple[Difference, ...]
    out_differences: tuple[Difference, ...]
    borrowed: Remains | None
    final: Remains
    left_by: tuple[str, ...]
    remarks: tuple[str, ...]
    verdict: str = "ok"
    message: str = ""
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def reasons(self) -> dict[tuple[str, str], int]:
        """How many differences there are, by call and reason, in order of first appearance."""
        return dict(Counter((d.op, d.why) for d in (*self.differences, *self.out_differences)))

    @property
    def unexplained(self) -> int:
        """How many differences have no reason."""
        return sum(d.why == UNEXPLAINED for d in (*self.differences, *self.out_differences))

    def as_json(self) -> dict[str, Any]:
        """The result as ``tcemu play --json`` prints it."""
        plain = {
            "file": self.file,
            "kernel": self.kernel,
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "by_op": {op: count._asdict() for op, count in self.by_op.items()},
            "differences": [without_field(d) for d in self.differences],
            "final": self.final._asdict(),
            "left_by": list(self.left_by),
            "out_differences": [d._asdict() for d in self.out_differences],
            "remarks": list(self.remarks),
            "verdict": self.verdict,
            "message": self.message,
            "warnings": [{"message": message, "place": place} for message, place in self.warnings],
        }
        return plain if self.borrowed is None else plain | {"borrowed": self.borrowed._asdict()}


def without_field(difference: Difference) -> dict[str, Any]:
    """A difference of a return value as JSON."""
    return {key: value for key, value in difference._asdict().items() if key != "field"}
