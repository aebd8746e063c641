"""One row of a recorded client stream: its keys, and what of it a step carries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from actors.program import fields as f
from actors.program.address import U64_MAX
from actors.program.errors import Refusal, refuse
from actors.program.fields import ERRNO_BY_NAME, Reader
from actors.program.ops import FIELDS
from actors.program.steps import MOST_CALLS
from actors.program.streams.calls import CALLS, Call
from actors.program.values import FrozenDict, Observed

_OUT_NAMES = {f"ddw_{key}": f"ddw.{key}" for key in ("pgsizes", "max_dynamic_windows_supported", "levels")}
ROW: Mapping[str, Reader] = {
    "op": f.one_of(*CALLS),
    "thread": f.index,
    "object": f.name,
    "path": f.prose,
    "in": f.mapping,
    "arg": f.anything,
    "out": f.table(f.word, f.u64),
    "off": FIELDS["off"],
    "len": FIELDS["len"],
    "data": FIELDS["data"],
    "ret": f.number(-1, (1 << 63) - 1),
    "errno": f.optional(f.errno),
    "repeat": f.number(1, MOST_CALLS),
    "stride": f.table(f.word, f.result),
    "cleared": f.anything,
    "tces_dropped": f.anything,
}


def sent_fields(row: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """What the client passed, as fields of the step."""
    if call.arg is not None:
        if "arg" not in row:
            raise Refusal("missing", "arg")
        return {call.arg: f.inside(FIELDS[call.arg], row["arg"], "arg")}
    if call.free:
        return {}
    sent = f.inside(lambda raw: f.record(raw, *_sent_readers(row["op"])), row.get("in", {}), "in")
    return {field: sent[key] for key, field in call.sent.items() if field and key in sent}


@cache
def _sent_readers(name: str) -> tuple[dict[str, Reader], tuple[str, ...]]:
    """Readers and required keys of a call's `in`."""
    sent = CALLS[name].sent
    readers = {key: FIELDS[field] if field else f.u64 for key, field in sent.items()}
    return readers, tuple(key for key, field in sent.items() if field)


def stride_fields(row: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """The stride by fields of the step; every repetition must stay inside 64 bits."""
    last = row.get("repeat", 1) - 1
    strides = {}
    for key, stride in row.get("stride", {}).items():
        field, value = call.sent.get(key), row.get("in", {}).get(key)
        if field is None or type(value) is not int:
            raise Refusal("no number of `in`", "stride", key)
        if not 0 <= value + last * stride <= U64_MAX:
            expected = f"a stride that stays inside 64 bits for {last + 1} calls"
            raise refuse(stride, expected).within("stride", key)
        strides[field] = stride
    return {"stride": FrozenDict(strides)} if strides else {}


def observed(row: Mapping[str, Any]) -> Observed:
    """The recorded reply: -1 with the name of an error becomes the negative errno."""
    ret = row.get("ret")
    if ret == -1:
        if row.get("errno") is None:
            raise Refusal("missing, expected the name of the error", "errno")
        ret = -ERRNO_BY_NAME[row["errno"]]
    if "out" not in row:
        return Observed(ret=ret)
    return Observed(
        ret=ret, out=FrozenDict({_OUT_NAMES.get(key, key): each for key, each in row["out"].items()})
    )
