"""The search against brute force, and against histories whose answer is known."""

from __future__ import annotations

import struct
from errno import EBUSY, EINVAL, ENOENT

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.linear import Answer, Call, History, Model, Operation, Rules, State, check
from actors.linear.model import BEGIN
from tests.actors.linear.brute import explained

BASE, PAGE = 1 << 32, 1 << 16
RULES = Rules(groups=2)


def ioctl(fd: int, nr: int, data: bytes | None = None, number: int | None = None) -> Operation:
    """An ioctl of the only process."""
    return Operation("p", "ioctl", (fd, nr, number, data))


def register(fd: int, pages: int = 2) -> Operation:
    return ioctl(fd, 17, struct.pack("<IIQQ", 24, 0, BASE, pages * PAGE))


def unregister(fd: int) -> Operation:
    return ioctl(fd, 18, struct.pack("<IIQQ", 24, 0, BASE, 2 * PAGE))


def map_(fd: int, pages: int = 1) -> Operation:
    return ioctl(fd, 13, struct.pack("<IIQQQ", 32, 3, BASE, 0, pages * 4096))


def unmap(fd: int, pages: int = 1) -> Operation:
    return ioctl(fd, 14, struct.pack("<IIQQ", 24, 0, 0, pages * 4096))


def remove(fd: int) -> Operation:
    return ioctl(fd, 20, struct.pack("<IIQ", 16, 0, 0))


def close(fd: int) -> Operation:
    return Operation("p", "close", (fd,))


def unfreeze(fd: int) -> Operation:
    return ioctl(fd, 21, struct.pack("<III", 12, 0, 2))


FAULT = Operation("group:0", "dma", (0, 0, "no TCE"))
LOOK = Operation("", "look")


def ready() -> State:
    """Two containers of one process, a range registered with the first of them."""
    model = Model(RULES, alone=True)
    state = model.initial()
    setup = [Operation("p", "spawn")]
    for index in range(2):
        setup += [
            Operation("p", "open", ("/dev/vfio/vfio",)),
            Operation("p", "open", (f"/dev/vfio/{index}",)),
        ]
        group, container = 4 + 2 * index, 3 + 2 * index
        setup += [ioctl(group, 4, struct.pack("<i", container)), ioctl(container, 2, number=7)]
    setup += [Operation("p", "mmap", (BASE, 4 * PAGE, True, True, 16, False)), register(3)]
    for op in setup:
        state, answer = model.step(state, op)
        assert answer.ret is None or int(answer.ret) >= 0, op
    return state


READY = ready()
OPS = [
    register(3), register(5), register(5, pages=3), unregister(3), unregister(5), map_(3), map_(5),
    map_(3, 2), unmap(3), unmap(3, 2), remove(3), close(3), close(4), close(6), FAULT, unfreeze(3),
]  # fmt: skip


def history(*calls: tuple[Operation, int, int | None, Answer | None]) -> History:
    """A history from operations with their beginnings, ends and answers."""
    made = [
        Call(n, f"t{n}", op, began, ended, answer, [began])
        for n, (op, began, ended, answer) in enumerate(calls)
    ]
    return History(RULES, frozenset({READY}), made)


def answered(op: Operation, ret: int) -> Answer:
    """An answer that leaves the argument as it was."""
    return Answer(ret, op.args[3] if op.call == "ioctl" else None)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, bool]:
    """What the model does when two threads run on it in some order; and whether an answer was changed."""
    model, state, clock = Model(RULES), READY, 0
    queues = [draw(st.lists(st.sampled_from(OPS), min_size=1, max_size=2)) for _ in range(2)]
    calls: list[Call] = []
    running: dict[int, tuple[Call, object]] = {}
    while running or any(queues):
        thread = draw(st.sampled_from([n for n in range(2) if n in running or queues[n]]))
        if thread not in running:
            call = Call(len(calls), f"t{thread}", queues[thread].pop(0), clock, steps=[clock])
            calls.append(call)
            running[thread] = call, BEGIN
            clock += 1
            continue
        call, local = running[thread]
        if isinstance(local, Answer):
            call.ended, call.answer = clock, local
            del running[thread]
            clock += 1
            continue
        steps = model.advance(state, call.op, local)  # type: ignore[arg-type]
        if not steps:  # it waits for the other thread
            other = 1 - thread
            if other not in running or isinstance(running[other][1], Answer):
                break
            continue
        state, further = steps[0]
        running[thread] = call, further
    changed = draw(st.booleans())
    if changed:
        call = draw(st.sampled_from(calls))
        call.answer = answered(call.op, draw(st.sampled_from([0, -EBUSY, -ENOENT, -EINVAL])))
        if call.ended is None:
            call.ended = clock
    return History(RULES, frozenset({READY}), calls), changed


@settings(max_examples=120, deadline=None)
@given(histories())
def test_the_search_says_what_brute_force_says(drawn: tuple[History, bool]) -> None:
    recorded, changed = drawn
    verdict = check(recorded)
    assert verdict.ok == explained(recorded)
    if not changed:
        assert verdict.ok


def test_calls_that_overlap_may_come_in_either_order() -> None:
    mapped, gone = map_(3), unregister(3)
    for map_ret, gone_ret in ((0, -EBUSY), (-EINVAL, 0)):
        assert check(
            history((mapped, 0, 3, answered(mapped, map_ret)), (gone, 1, 2, answered(gone, gone_ret)))
        ).ok


def test_calls_that_do_not_overlap_keep_their_order() -> None:
    mapped, gone = map_(3), unregister(3)
    verdict = check(history((mapped, 0, 1, answered(mapped, -EINVAL)), (gone, 2, 3, answered(gone, 0))))
    assert verdict.ok is False
    assert "MAP_DMA(fd 3" in verdict.message
    assert "returned -EINVAL; the orders allow 0" in verdict.message


def test_both_cannot_win() -> None:
    mapped, gone = map_(3), unregister(3)
    verdict = check(history((mapped, 0, 3, answered(mapped, 0)), (gone, 1, 2, answered(gone, 0))))
    assert verdict.ok is False
    assert [line.partition(" ")[2].partition("(")[0] for line in verdict.calls] == [
        "t0: MAP_DMA",
        "t1: UNREGISTER_MEMORY",
    ]
    assert "the orders allow -EBUSY" in verdict.message or "the orders allow -EINVAL" in verdict.message


def test_a_call_that_never_ended_may_have_taken_effect_or_not() -> None:
    gone, again = unregister(3), register(3)
    for ret in (0, -EBUSY):
        assert check(history((gone, 0, None, None), (again, 1, 2, answered(again, ret)))).ok


def test_a_call_that_nobody_heard_of_has_taken_effect() -> None:
    gone, again = unregister(3), register(3)
    assert check(history((gone, 0, 1, None), (again, 2, 3, answered(again, 0)))).ok
    assert check(history((gone, 0, 1, None), (again, 2, 3, answered(again, -EBUSY)))).ok is False


def test_what_can_be_seen_at_the_end_has_to_be_explained_too() -> None:
    mapped = map_(3)
    seen = Answer(0, ((("p", 130),), 2, (((0, 4096, 3),), ())))
    assert check(history((mapped, 0, 1, answered(mapped, 0)), (LOOK, 2, 3, seen))).ok
    wrong = Answer(0, ((("p", 258),), 2, ((), ())))
    verdict = check(history((mapped, 0, 1, answered(mapped, 0)), (LOOK, 2, 3, wrong)))
    assert verdict.ok is False
    assert "p is charged 258 pages, not 130" in verdict.message
    assert "the device of group 0 reaches nothing, not 0x0+0x1000" in verdict.message


def test_ranges_may_alternate_entry_by_entry() -> None:
    mapped, cleared = map_(3, 2), unmap(3, 2)
    both = ((mapped, 0, 3, answered(mapped, 0)), (cleared, 1, 2, answered(cleared, 0)))
    for entries in ((), ((0, 8192, 3),), ((0x1000, 4096, 3),), ((0, 4096, 3),)):
        seen = Answer(0, ((("p", 130),), 2, (entries, ())))
        assert check(history(*both, (LOOK, 4, 5, seen))).ok, entries
    seen = Answer(0, ((("p", 130),), 2, (((0, 4096, 1),), ())))
    assert check(history(*both, (LOOK, 4, 5, seen))).ok is False


def test_what_the_model_does_not_know_is_not_judged() -> None:
    verdict = check(history((Operation("p", "Mremap"), 0, 1, Answer(0))))
    assert verdict.ok is None
    assert "Mremap" in verdict.message


def test_a_search_that_gets_too_long_is_given_up() -> None:
    calls = [(map_(3), n, 10 + n, answered(map_(3), 0)) for n in range(4)]
    verdict = check(history(*calls), limit=50)
    assert verdict.ok is None
    assert "more than 50 configurations" in verdict.message
