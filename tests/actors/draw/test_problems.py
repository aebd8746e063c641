from __future__ import annotations

from actors.draw.problems import problems
from actors.trace import schema as s
from actors.trace.query import object_of


def test_the_violation_is_marked_with_both_racing_accesses(log):
    last = problems(log)[-1]
    assert (last.title, last.row, last.grave) == ("J-Q1", len(log.events) - 1, True)
    assert "still pinned" in last.message
    one, other = (log.events[row] for row in last.racing)
    assert {one.thread, other.thread} == {"kworker", "qemu"}
    assert object_of(one) == object_of(other) == "mm:0.mm_count"


def test_a_crash_is_marked_with_what_took_the_thing_away(script):
    script.add(s.Start, "mapper")
    script.add(s.Start, "closer")
    script.add(s.Access, "mapper", object="region:0", field="mapped", before=1, after=1)
    taken = script.add(s.Access, "closer", object="region:0", field="mapped", before=1, after=0, write=True)
    script.add(
        s.Access,
        "closer",
        object="mm:0",
        field="iommu_group_mem_list",
        kind="list",
        before="region:0",
        write=True,
    )
    script.add(s.Access, "mapper", object="region:0", field="used", before=0, after=1, write=True)
    crash = script.add(s.Oops, "mapper", message="use after free of region:0.mapped", invariant="J-K2")
    (problem,) = problems(script.log(verdict="violation", message="use after free of region:0.mapped"))
    assert (problem.title, problem.grave, problem.racing) == ("J-K2", True, (taken, crash))


def test_a_verdict_that_no_event_tells_stands_at_the_last_row(deadlock):
    (problem,) = problems(deadlock)
    assert (problem.title, problem.row) == ("deadlock", len(deadlock.events) - 1)
    assert problem.message == "mapper and closer wait for one another"


def test_a_warning_is_not_grave(script):
    script.add(s.Start, "qemu")
    script.add(s.Warn, "qemu", message="nobody knows table:0", place="tce_iommu_clear")
    (problem,) = problems(script.log())
    assert (problem.grave, problem.title, problem.racing) == (False, "WARN", ())


def test_a_clean_run_has_none(script):
    script.add(s.Start, "qemu")
    assert problems(script.log()) == []
