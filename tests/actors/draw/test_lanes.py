from __future__ import annotations

from actors.draw.lanes import lanes
from actors.trace import schema as s


def named(drawing, each):
    return drawing.lanes[each.lane].name, drawing.lanes[each.thread].name


def test_there_is_a_lane_for_each_thread_actor_and_lock(log):
    found = {
        kind: [lane.name for lane in lanes(log.events).lanes if lane.kind == kind]
        for kind in ("thread", "actor", "lock")
    }
    assert set(found["thread"]) >= {"qemu", "kworker"}
    assert found["actor"][0] == "process:0"
    assert set(found["actor"]) >= {"container:0", "mm:0", "group:0", "cpu:1"}
    assert {"mm:0.mmap_lock", "container:0.group_lock"} <= set(found["lock"])


def test_every_event_is_inside_the_actor_that_it_names(log):
    drawing = lanes(log.events)
    for row, event in enumerate(log.events):
        each = drawing.slices[drawing.at[row]]
        lane, thread = named(drawing, each)
        assert thread == event.thread
        assert each.first <= row <= each.last
        assert lane == (event.thread if event.actor in ("", "machine:0") else event.actor)


def test_a_request_opens_a_slice_and_its_answer_ends_it(log):
    drawing = lanes(log.events)
    opened = {each.first: each for each in drawing.slices if each.parent >= 0}
    for row, event in enumerate(log.events):
        if isinstance(event, s.Request):
            each = opened[row]
            assert named(drawing, each) == (event.to, event.thread)
            assert each.label == event.request
            end = log.events[each.last]
            assert isinstance(end, (s.Reply, s.Finish)) and (
                not isinstance(end, s.Reply) or end.of == event.step
            )


def test_slices_that_overlap_in_a_lane_have_places_of_their_own(log, deadlock):
    for each in (log, deadlock):
        drawing = lanes(each.events)
        for one in drawing.slices + drawing.holds + drawing.waits:
            assert one.slot < drawing.lanes[one.lane].slots
        for table in (drawing.slices, drawing.holds + drawing.waits):
            for i, one in enumerate(table):
                for other in table[:i]:
                    apart = one.last < other.first or other.last < one.first
                    assert apart or (one.lane, one.slot) != (other.lane, other.slot)


def test_locks_are_held_from_taking_to_giving_back(log):
    drawing = lanes(log.events)
    for each in drawing.holds:
        lock, thread = named(drawing, each)
        taken, given = log.events[each.first], log.events[each.last]
        assert isinstance(taken, s.Acquire) and (taken.object, taken.thread) == (lock, thread)
        assert isinstance(given, s.Release) and (given.object, given.thread) == (lock, thread)


def test_a_deadlock_is_two_waits_that_never_end(deadlock):
    drawing = lanes(deadlock.events)
    waits = {named(drawing, each): each.last for each in drawing.waits}
    last = len(deadlock.events) - 1
    assert waits == {("mem_list_mutex", "mapper"): last, ("tce_container:0.lock", "closer"): last}
    assert all(each.last == last for each in drawing.holds)


def test_a_log_that_was_cut_out_of_another_is_drawn_too(log):
    for first in range(0, len(log.events), 7):
        part = log.events[first : first + 40]
        drawing = lanes(part)
        for row, event in enumerate(part):
            lane, thread = named(drawing, drawing.slices[drawing.at[row]])
            assert thread == event.thread
            assert lane in (event.actor, event.thread)
    sparse = [event for event in log.events if isinstance(event, (s.Access, s.Release, s.Reply))]
    assert len(lanes(sparse).at) == len(sparse)
