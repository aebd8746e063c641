from __future__ import annotations

from actors.draw.matter import table_of
from actors.draw.problems import problems
from actors.explore.explain import explained
from actors.trace import schema as s
from actors.trace.query import object_of


def test_a_leak_says_who_holds_what(log):
    last = problems(log)[-1]
    assert (last.title, last.row, last.grave) == ("J-Q1", len(log.events) - 1, True)
    assert "still pinned" in last.message
    assert "mm:0.mm_count is 1, held by cpu:1" in last.accesses
    assert last.racing == ()


def test_a_use_after_free_is_marked_with_who_found_and_who_freed(race):
    last = problems(race)[-1]
    found, freed = (race.events[row] for row in last.racing)
    assert (last.title, found.thread, freed.thread) == ("J-K2", "mapper", "closer")
    assert object_of(found) == "tce_container:0.tables[0]"
    assert (object_of(freed), freed.after) == ("table:0.it_kref", 0)


def test_page_and_report_agree(log, race):
    for each in (log, race):
        (*_, problem), told = problems(each), explained(each)
        assert problem.racing == told.table.racing == table_of(each, 40).racing
        assert problem.accesses == (() if problem.racing else told.facts)


def test_a_crash_is_marked_with_what_took_the_thing_away(script):
    script.add(s.Start, "mapper")
    script.add(s.Start, "closer")
    found = script.add(s.Access, "mapper", object="region:0", field="mapped", before=1, after=1)
    script.add(s.Access, "closer", object="region:0", field="mapped", before=1, after=0, write=True)
    taken = script.add(
        s.Access, "closer", object="mm:0", field="iommu_group_mem_list", kind="list", before="region:0",
        write=True,
    )  # fmt: skip
    script.add(s.Access, "mapper", object="region:0", field="used", before=0, after=1, write=True)
    script.add(s.Oops, "mapper", message="use after free of region:0.mapped", invariant="J-K2")
    (problem,) = problems(script.log(verdict="violation", message="use after free of region:0.mapped"))
    assert (problem.title, problem.grave, problem.racing) == ("J-K2", True, (found, taken))


def test_another_crash_is_marked_with_the_last_change_of_what_it_names(script):
    script.add(s.Start, "mapper")
    script.add(s.Start, "closer")
    taken = script.add(s.Access, "closer", object="table:0", field="it_userspace", before=1, write=True)
    crash = script.add(s.Oops, "mapper", message="NULL pointer dereference of table:0.it_userspace")
    assert problems(script.log())[-1].racing == (taken, crash)


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
