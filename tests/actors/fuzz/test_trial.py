"""One program in many orders: what it covers, how it fails, and which defect that is."""

from __future__ import annotations

import pytest

from actors.explore import Bounded, prepare, replay
from actors.explore.explore import Campaign
from actors.explore.failure import Switches
from actors.explore.run import Prepared
from actors.fuzz import Generator, regression_test, triage, try_program
from actors.fuzz.coverage import by_kind, kind_of, never_reached, universe
from actors.fuzz.reproduce import Reproducer
from actors.fuzz.triage import defects, less
from actors.fuzz.trial import Hit, shape
from actors.kernel.catalogue import find_kernel, find_piece
from actors.program import Program, parse_program

SETUP = [
    {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
    {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
    {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
    {"actor": 0, "op": "setiommu", "fd": "C0", "iommu_type": 7},
    {"actor": 0, "op": "mmap", "addr": "M0", "size": "4P", "prot": "rw"},
    {"actor": 0, "op": "reg", "fd": "C0", "vaddr": "M0", "size": "4P"},
]


def program(*threads: list[dict[str, object]]) -> Program:
    """A program of threads of one process with registered memory; everybody exits at the end."""
    return parse_program(
        {
            "format": "tcemu-program",
            "version": 1,
            "name": "small",
            "setup": SETUP,
            "threads": [{"name": f"t{n}", "actor": 0, "steps": steps} for n, steps in enumerate(threads)],
            "finally": [{"actor": 0, "op": "exit"}],
        }
    )


MAP = {"op": "map", "fd": "C0", "vaddr": "M0", "iova": 0, "size": 4096}
UNREG = {"op": "unreg", "fd": "C0", "vaddr": "M0", "size": "4P"}
BUSY = program([MAP, UNREG])
RACE = program([MAP], [UNREG])


def test_the_same_seed_comes_to_the_same() -> None:
    kernel = find_kernel("v6.12")
    for seed in (3, 11, 98):
        generated = Generator(seed).program()
        assert try_program(generated, kernel, seed) == try_program(generated, kernel, seed)


def test_what_met_what_is_covered() -> None:
    trial = try_program(RACE, find_kernel("fixed"), 1)
    assert not trial.hits and not trial.mistake
    assert any(f.startswith("pair region.mapped ") and "MAP_DMA" in f for f in trial.features)
    assert any(f.startswith("lock tce_container.lock ") for f in trial.features)
    assert any(f.startswith("call UNREGISTER_MEMORY ok v2 g1") for f in trial.features)
    assert any(f.startswith("call UNREGISTER_MEMORY EBUSY") for f in trial.features)
    assert any(f.startswith("path MmIommuPut EBUSY UNREGISTER_MEMORY") for f in trial.features)
    assert "region 1/0>1/1" in trial.features
    assert set(by_kind(trial.features)) >= {"pair", "lock", "call", "path", "region", "container"}


def test_one_thread_meets_nobody() -> None:
    trial = try_program(program([MAP]), find_kernel("fixed"), 1)
    assert not any(f.startswith(("pair ", "lock ")) for f in trial.features)


def test_failure_points_fail() -> None:
    trials = [try_program(RACE, find_kernel("fixed"), seed) for seed in range(6)]
    assert any(f.startswith("fault ") for trial in trials for f in trial.features)
    assert not any(trial.hits for trial in trials)


def test_what_was_never_reached() -> None:
    everything = universe()
    assert "call UNREGISTER_MEMORY EBUSY" in everything and "fault pin_user_pages" in everything
    features = try_program(RACE, find_kernel("fixed"), 1).features
    left = never_reached(features)
    assert "call UNREGISTER_MEMORY EBUSY" not in left and "call TCE_REMOVE EINVAL" in left
    assert never_reached(f"{wanted} x" for wanted in everything) == []


def test_names_of_kinds() -> None:
    assert kind_of("tce_container:0.tables[1]") == "tce_container.tables"
    assert shape("region:3 of 0x4000 has 1,024 pages") == "region:# of # has # page"


# -- looking into failures ---------------------------------------------------------------------


def test_a_known_defect_is_named_and_made_small() -> None:
    kernel = find_kernel("v6.12")
    crowded = program(
        [{"op": "touch", "addr": "M0", "size": "1P"}, MAP, {"op": "info", "fd": "C0"}, UNREG],
        [{"op": "chkext", "fd": "C0", "extension": 7}],
    )
    hit = next(hit for hit in try_program(crowded, kernel, 0).hits if hit.invariant == "J-R2")
    finding = triage(crowded, Switches.of(kernel), hit)
    assert finding is not None and finding.label == "known: unregister-busy-swallowed"
    assert [[step.op for step in thread.steps] for thread in finding.program.threads] in (
        [["unreg"]],
        [["map", "unreg"]],
    )
    assert finding.failure is not None and replay(finding.failure).invariant == "J-R2"


def test_what_is_only_noted_can_be_replayed_too() -> None:
    kernel = find_kernel("v6.12")
    odd = program([MAP | {"iova": 1}])
    hit = next(hit for hit in try_program(odd, kernel, 0).hits if hit.invariant == "J-A1")
    finding = triage(odd, Switches.of(kernel), hit)
    assert finding is not None and finding.known == ("param-check-returns-one",)
    assert finding.failure is not None and finding.failure.fatal.startswith("J-A1")
    assert replay(finding.failure).invariant == "J-A1"


def test_a_failure_that_is_explained_already_is_no_finding() -> None:
    kernel = find_kernel("v6.12")
    hit = try_program(BUSY, kernel, 0).hits[0]
    assert triage(BUSY, Switches.of(kernel), hit, ("unregister-busy-swallowed",)) is None


def test_what_no_known_defect_explains_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_piece("unregister-busy-swallowed"), "defect", False)
    kernel = find_kernel("v6.12")
    hit = try_program(BUSY, kernel, 0).hits[0]
    finding = triage(BUSY, Switches.of(kernel), hit)
    assert (
        finding is not None and finding.label == "NEW" and finding.signature.startswith("NEW violation J-R2")
    )


def test_a_kernel_that_never_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What shows only because a defect was switched off that the kernel has is no failure of the kernel."""
    monkeypatch.setattr(find_piece("unregister-busy-swallowed"), "defect", False)
    monkeypatch.setattr(
        Reproducer, "harmless", lambda self, program, kernel, orders: "lookup-uaf" in kernel.slugs
    )
    off = ("create-table-charge-leak", "lookup-uaf")
    kernel = Switches("v6.12", (), off)
    hit = try_program(BUSY, kernel.compose(), 0).hits[0]
    finding = triage(BUSY, kernel, hit, (), off)
    assert finding is not None and finding.only_without == ("lookup-uaf",)


@pytest.mark.parametrize("kernel", ["v4.9", "v4.10-seed", "v6.12"])
def test_without_a_defect_a_good_client_is_no_worse_off(kernel: str) -> None:
    """Taking one defect away leaves a kernel that serves a client which makes no mistake."""
    good = program([MAP, {"op": "unmap", "fd": "C0", "iova": 0, "size": 4096}])
    found = find_kernel(kernel)
    usual = Campaign(prepare(good, found), Bounded(bound=0)).order()
    assert usual is not None
    for slug in defects(found):
        without = less(Switches(kernel), (slug,))
        calm = Campaign(prepare(good, without), Bounded(bound=0)).order()
        assert calm is not None
        assert calm.ok or calm.signature == usual.signature, f"{slug}: {calm.message}"


def test_the_test_to_paste() -> None:
    kernel = find_kernel("v6.12")
    hit = try_program(BUSY, kernel, 0).hits[0]
    finding = triage(BUSY, Switches.of(kernel), hit)
    assert finding is not None
    text = regression_test("v6.12", finding)
    names: dict[str, object] = {}
    exec(compile(text, "pasted", "exec"), names)
    test = names["test_unregister_busy_swallowed"]
    assert callable(test)
    test()
    broken: dict[str, object] = {}
    exec(compile(text.replace("'fixed'", "'v6.12'"), "pasted", "exec"), broken)
    again = broken["test_unregister_busy_swallowed"]
    assert callable(again)
    with pytest.raises(AssertionError, match="used of region"):
        again()


def test_the_failure_point_that_failed_is_tried_first() -> None:
    """Wherever the calm order gets to: what has failed may lie in another order."""
    kernel = find_kernel("v6.12")
    hit = Hit("k", "violation", "J-A1", "", ("violation", "J-A1", ""), (), (), ("pin_user_pages", 99))
    case = Reproducer(hit, 1_000)
    assert next(iter(case.faults(Prepared(BUSY, kernel)))) == 99
