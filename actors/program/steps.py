"""Steps to and from JSON objects, in the three dialects that files have.

A *program* knows expectations only. A *vector* step carries the recorded results by their own
names. The *exact* dialect carries everything a `Step` holds, client streams included: failure
files are written in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from actors.program import fields as f
from actors.program.address import U64_MAX, Address, spell
from actors.program.errors import Refusal, refuse
from actors.program.fields import Reader
from actors.program.ops import ALL_OPS, FIELDS, OPS, PROGRAM_OPS, VECTOR_OPS
from actors.program.values import FrozenDict, Observed, Step

MOST_CALLS = 1 << 32

_ANY_FIELD = f.number(-(1 << 63), U64_MAX)
_OUT = f.table(
    f.text(r"[\w.]{1,64}", "the name of a field"),
    lambda value: value if isinstance(value, bool) else _ANY_FIELD(value),
)
_BY_ACTOR = f.table(f.text(r"\d{1,4}", "an actor"), f.optional(f.u64))


def _by_actor(value: object) -> FrozenDict[int, int]:
    return FrozenDict({int(actor): kb for actor, kb in _BY_ACTOR(value).items() if kb is not None})


_OBSERVED: Mapping[str, Reader] = {
    "out": f.optional(_OUT),
    "vmlck_kb": f.optional(f.u64),
    "vmlck_kb_all_actors": f.optional(_by_actor),
    "pinned_pages": f.optional(f.result),
}


def _observed(value: object) -> Observed:
    return Observed(**f.record(value, {"ret": f.optional(f.result), **_OBSERVED}))


_COMMON: Mapping[str, Reader] = {"op": f.anything, "actor": f.actor, "ioctl": f.anything}
_EXPECTED: Mapping[str, Reader] = {"cpu": f.index, "ret": f.several(f.result), "errno": f.several(f.errno)}
_RECORDED: Mapping[str, Reader] = {
    "ret": f.optional(f.result),
    "errno": f.anything,
    "approx": f.anything,
    "vmpin_kb": f.anything,
    **_OBSERVED,
}
_EXACT: Mapping[str, Reader] = {
    **_EXPECTED,
    "observed": _observed,
    "thread": f.index,
    "call": f.name,
    "repeat": f.number(1, MOST_CALLS),
    "stride": f.table(f.one_of(*FIELDS), f.result),
}

# Real processes open whatever there is; what does not belong to VFIO answers -ENOENT.
_ANY_FILE: Mapping[str, Reader] = {**FIELDS, "path": f.any_path}


class Dialect:
    """Which operations a kind of file has, and which keys each takes.

    Args:
        ops: The operations.
        fields: What the fields of operations take.
        keys: What a step may have beside them.
        elsewhere: What is said of an operation that only other files have.
        strict: Refuse keys that the operation does not have.
    """

    def __init__(
        self,
        ops: frozenset[str],
        fields: Mapping[str, Reader],
        keys: Mapping[str, Reader],
        elsewhere: str,
        strict: bool = True,
    ) -> None:
        self.elsewhere = elsewhere
        self.strict = strict
        self.readers = {
            op: {**_COMMON, **keys, **{field: fields[field] for field in OPS[op].fields}}
            for op in sorted(ops)
        }

    def read(self, raw: object) -> dict[str, Any]:
        """The keys of a step with their typed values; commentary is left out."""
        op = f.mapping(raw).get("op")
        readers = self.readers.get(op) if isinstance(op, str) else None
        if op is None or readers is None:
            raise self._refuse_op(op)
        values = f.record(raw, readers, OPS[op].required, strict=self.strict)
        values.pop("ioctl", None)
        return values

    def _refuse_op(self, op: object) -> Refusal:
        if op is None:
            return Refusal("missing, expected an operation", "op")
        if isinstance(op, str) and op in ALL_OPS:
            return Refusal(f"{op!r} {self.elsewhere}", "op")
        return refuse(op, "one of " + ", ".join(self.readers)).within("op")


PROGRAM = Dialect(PROGRAM_OPS, FIELDS, _EXPECTED, "occurs only in recorded client streams")
VECTOR = Dialect(VECTOR_OPS, _ANY_FILE, _RECORDED, "does not occur in recorded vectors", strict=False)
EXACT = Dialect(ALL_OPS, _ANY_FILE, _EXACT, "")


def read_step(raw: object, dialect: Dialect = PROGRAM) -> Step:
    """One step of a program.

    Raises:
        Refusal: With the path inside the step.
    """
    return Step(**dialect.read(raw))


def read_vector_step(raw: object) -> Step:
    """One step of a vector: the recorded `ret` is the expectation, null expects nothing."""
    values = VECTOR.read(raw)
    for key in ("actor", "ret"):
        if key not in values:
            raise Refusal("missing", key)
    for commentary in ("errno", "approx", "vmpin_kb"):
        values.pop(commentary, None)
    ret = values.pop("ret")
    seen = {key: values.pop(key) for key in _OBSERVED if key in values}
    return Step(**values, ret=None if ret is None else (ret,), observed=Observed(ret=ret, **seen))


_ORDER = ("cpu", "actor", "thread", "op", "call", *FIELDS, "ret", "errno", "observed", "repeat", "stride")
_LEFT_OUT: Mapping[str, Any] = MappingProxyType({"repeat": 1})


def write_step(step: Step) -> dict[str, Any]:
    """The step as JSON values in a fixed order; `EXACT` reads all of it back."""
    pairs = ((name, _one_or_many(name, getattr(step, name))) for name in _ORDER)
    return {key: _plain(value) for key, value in pairs if value is not None and _LEFT_OUT.get(key) != value}


def _one_or_many(name: str, value: Any) -> Any:
    """An expectation of one result is written without brackets."""
    return value[0] if name in _EXPECTED and isinstance(value, tuple) and len(value) == 1 else value


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return spell(value)
    if isinstance(value, Observed):
        pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: _plain(each) for name, each in pairs if each is not None}
    if isinstance(value, tuple):
        return list(value)
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else value
