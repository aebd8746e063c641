"""What is said of a history that no sequential order explains."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from errno import errorcode
from typing import Any

from actors.linear.history import Call, History
from actors.linear.model import Answer, Operation
from actors.linear.model.eeh import FROZEN

MOST_LINES = 12

REQUESTS: dict[int, tuple[str, str, tuple[str, ...]]] = {
    0: ("GET_API_VERSION", "", ()),
    1: ("CHECK_EXTENSION", "", ()),
    2: ("SET_IOMMU", "", ()),
    3: ("GET_STATUS", "", ()),
    4: ("SET_CONTAINER", "<i", ("fd",)),
    5: ("UNSET_CONTAINER", "", ()),
    6: ("GET_DEVICE_FD", "", ()),
    12: ("GET_INFO", "", ()),
    13: ("MAP_DMA", "<8xQQQ", ("vaddr", "iova", "size")),
    14: ("UNMAP_DMA", "<8xQQ", ("iova", "size")),
    15: ("ENABLE", "", ()),
    16: ("DISABLE", "", ()),
    17: ("REGISTER_MEMORY", "<8xQQ", ("vaddr", "size")),
    18: ("UNREGISTER_MEMORY", "<8xQQ", ("vaddr", "size")),
    19: ("TCE_CREATE", "<8xI4xQI", ("page_shift", "window_size", "levels")),
    20: ("TCE_REMOVE", "<8xQ", ("start_addr",)),
    21: ("EEH_PE_OP", "<8xI", ("op",)),
}
"""Number of a request -> its name, the layout of what is worth showing, and the names of that."""

COPIED_BACK = {3: ("<4xI", "flags"), 19: ("<32xQ", "start_addr")}
"""Number of a request -> layout and name of what it copies back, where that depends on the order."""


def report(history: History, failed: Call, allowed: Iterable[Answer]) -> tuple[str, tuple[str, ...]]:
    """Tell of the shortest beginning of a history that has no explanation: it ends with ``failed``.

    Returns:
        What cannot be, in one sentence, and the calls, a line each.
    """
    assert failed.ended is not None
    calls = [call for call in history.calls if call.began < failed.ended and call.thread]
    if failed.op.call == "look":
        first = f"no sequential order of these calls leads to what is there: {differences(failed, allowed)}"
    else:
        first = f"no sequential order explains that {named(failed.op)} of {failed.thread} {came_to(failed)}"
        first += f"; {allowing(failed.op, allowed)}"
    left_out = len(calls) - MOST_LINES
    lines = [f"({left_out} calls before)"] if left_out > 0 else []
    return first, (*lines, *(line(call, failed) for call in calls[-MOST_LINES:]))


def line(call: Call, failed: Call) -> str:
    """One call with its interval in scheduling steps."""
    over = call.ended is not None and failed.ended is not None and call.ended <= failed.ended
    until = call.steps[-1] if over else ""
    outcome = came_to(call) if over else "has not returned yet"
    return f"[{call.steps[0]}..{until}] {call.thread}: {named(call.op)} {outcome}"


def came_to(call: Call) -> str:
    """The answer of a call."""
    if call.answer is None:
        return "ended" if call.op.call == "exit" else "was killed"
    if call.op.call == "dma":
        return f"moved {call.op.args[1]:,} bytes" + (f": {call.op.args[2]}" if call.op.args[2] else "")
    return f"returned {outcome(call.op, call.answer)}"


def outcome(op: Operation, answer: Answer) -> str:
    """A return value, and what was copied back with it where that can differ."""
    told = result(answer.ret)
    if op.call == "ioctl" and answer.ret == 0 and op.args[1] in COPIED_BACK:
        layout, name = COPIED_BACK[op.args[1]]
        told += f" with {name} {hexed(struct.unpack_from(layout, answer.data)[0])}"
    return told


def result(ret: Any) -> str:
    """A return value, errors by name."""
    return f"-{errorcode[-ret]}" if isinstance(ret, int) and -ret in errorcode else str(ret)


def allowing(op: Operation, allowed: Iterable[Answer]) -> str:
    """What the orders would allow."""
    if op.call == "dma":
        return f"in {'no' if op.args[2] == FROZEN else 'every'} order the PE is frozen by then"
    results = sorted({outcome(op, answer) for answer in allowed})
    return f"the orders allow {' or '.join(results)}" if results else "in no order does it return at all"


def named(op: Operation) -> str:
    """A call as a person would write it."""
    if op.call == "dma":
        return f"DMA of group {op.args[0]}"
    if op.call != "ioctl":
        return f"{op.call}({', '.join(hexed(arg) for arg in op.args)})"
    fd, nr, number, data = op.args
    name, layout, fields = REQUESTS.get(nr, (f"request {nr}", "", ()))
    shown = [f"fd {fd}"]
    if number is not None and nr in (1, 2):
        shown.append(str(number))
    if fields:
        if data is None or len(data) < struct.calcsize(layout):
            shown.append("bad pointer")
        else:
            values = struct.unpack_from(layout, data)
            shown += [f"{field} {hexed(value)}" for field, value in zip(fields, values, strict=True)]
    return f"{name}({', '.join(shown)})"


def hexed(value: Any) -> str:
    """A number as a person would write it: large ones are addresses."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 255:
        return f"{value:#x}"
    return str(value)


def differences(failed: Call, allowed: Iterable[Answer]) -> str:
    """In what that which was seen differs from what the orders allow."""
    assert failed.answer is not None
    others = [answer.data for answer in allowed]
    if not others:
        return "some process never came to its end"
    found: list[str] = []
    locked, pinned, windows = failed.answer.data
    for name, pages in locked:
        could = sorted({dict(data[0]).get(name, 0) for data in others})
        if pages not in could:
            found.append(f"{name} is charged {pages:,} pages, not {choice(could)}")
    pins = sorted({data[1] for data in others})
    if pinned not in pins:
        found.append(f"{pinned:,} pages are pinned, not {choice(pins)}")
    for group, there in enumerate(windows):
        reaches = sorted({data[2][group] for data in others})
        if there not in reaches:
            wanted = " or ".join(spelled(each) for each in reaches)
            found.append(f"the device of group {group} reaches {spelled(there)}, not {wanted}")
    return "; ".join(found) or "each part of it could be, but not all of it at once"


def choice(numbers: list[int]) -> str:
    """Numbers to choose from."""
    return " or ".join(f"{number:,}" for number in numbers)


def spelled(runs: tuple[tuple[int, int, int], ...]) -> str:
    """What a device can reach."""
    return ", ".join(f"{start:#x}+{size:#x}" for start, size, _ in runs) or "nothing"
