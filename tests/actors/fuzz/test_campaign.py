"""Campaigns: repeatable however the work is spread, resumed as if nothing had happened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from actors.explore.executors import Made
from actors.explore.failure import Switches
from actors.fuzz import Corpus, Crew, FuzzCampaign, FuzzReport, Plan, Trial, fuzz, try_program
from actors.fuzz.seeds import seed_programs
from actors.fuzz.state import Pending
from actors.fuzz.triage import Finding
from actors.fuzz.trial import Hit
from actors.fuzz.work import Lost, TryUnit, Unit
from tests.actors.fuzz.test_trial import BUSY

module = import_module("actors.fuzz.campaign")
triage = import_module("actors.fuzz.triage")
state = import_module("actors.fuzz.state")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of six programs, and failures looked into without much ado."""
    make_small(monkeypatch)


def make_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "PROGRAMS_PER_UNIT", 2)
    patch.setattr(module, "UNITS", 3)
    patch.setattr(state, "LOOKS_PER_BATCH", 2)
    patch.setattr(triage, "MOST_STEPS", 30_000)
    patch.setattr(triage, "CAUSE_ORDERS", 6)
    patch.setattr(triage, "SINGLE_ORDERS", 6)
    patch.setattr(triage, "SHRINK_ORDERS", 2)
    patch.setattr(triage, "SHRINK_ATTEMPTS", 10)
    patch.setattr(triage, "FIRST_ATTEMPTS", 10)


def plan(programs: int, seed: int = 4, kernel: str = "v6.12") -> Plan:
    return Plan(kernel=Switches(kernel), seed=seed, programs=programs)


def essence(corpus: Corpus, report: FuzzReport) -> object:
    """What a campaign came to, times left out."""
    row = corpus.campaign(report.kernel, report.seed, "")
    state = msgspec.json.decode(row.state)
    state["found"] = {key: programs for key, (programs, _) in state["found"].items()}
    findings = [(f.id, f.label, f.hits, f.programs, f.message) for f in report.findings]
    kept = [(each.number, each.id) for each in corpus.kept()]
    return report.programs, report.orders, findings, kept, corpus.features(), state


def run(path: Path, *programs: int, crew: Crew | None = None) -> object:
    for most in programs:
        with Corpus(path) as corpus:
            report = FuzzCampaign(corpus, plan(most), crew or Crew()).run()
            result = essence(corpus, report)
    return result


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> object:
    """What a campaign of 12 programs comes to in one go, here."""
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return run(tmp_path_factory.mktemp("straight") / "c.db", 12)


def test_it_finds_something(straight: tuple[int, int, list[object], list[object], list[str], object]) -> None:
    programs, orders, findings, kept, features, _ = straight
    assert programs == 12 and orders > 100 and findings and kept and len(features) > 100


def test_it_goes_on_where_it_stopped(tmp_path: Path, straight: object) -> None:
    assert run(tmp_path / "c.db", 6, 12) == straight


def test_any_executor_comes_to_the_same(tmp_path: Path, straight: object) -> None:
    assert run(tmp_path / "c.db", 12, crew=Crew(Made(lambda: ThreadPoolExecutor(3)))) == straight


@pytest.mark.slow
def test_processes_come_to_the_same(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "LOOKS_PER_BATCH", 0)
        here, there = run(tmp_path / "a.db", 12), run(tmp_path / "b.db", 12, crew=Crew(2))
    assert here == there


class Staged(FuzzCampaign):
    """A campaign whose programs are given."""

    def fresh_and_mutated(self) -> list[Unit]:
        kernel = self.kernel
        return [Given(kernel, seeds=(self.row.batch,)) for _ in range(2)]


class Given(TryUnit, frozen=True):
    def run(self) -> tuple[Trial, ...]:
        return (try_program(BUSY, self.kernel.compose(), self.seeds[0]),)


def test_what_is_found_often_is_switched_off(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        report = Staged(corpus, plan(8), Crew()).run()
    assert "unregister-busy-swallowed" in report.off
    finding = next(each for each in report.findings if each.known == ("unregister-busy-swallowed",))
    assert finding.label == "known: unregister-busy-swallowed" and finding.hits >= 3 and finding.replayable
    with Corpus(tmp_path / "c.db") as corpus:
        again = Staged(corpus, plan(8), Crew()).run()
    assert "unregister-busy-swallowed" in again.again and again.sitting[0] == 0


def test_what_fails_no_more_is_told(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        Staged(corpus, plan(4), Crew()).run()
        kept = corpus.failures()[0]
        mended = msgspec.structs.replace(kept.finding.failure, kernel=Switches("fixed"))  # type: ignore[type-var]
        finding = msgspec.structs.replace(kept.finding, failure=mended)
        row = corpus.campaign("v6.12", 4, "")
        with corpus.transaction() as db:
            db.execute("DELETE FROM failures")
            corpus.add_failure(db, row.kernel, finding, 1, row.programs, row.seconds, row.id)
        report = Staged(corpus, plan(4), Crew()).run()
    assert report.gone == ("unregister-busy-swallowed",) and not report.findings[0].stands
    assert not report.found


def test_a_kernel_that_never_was_gets_its_defect_back(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        sitting = FuzzCampaign(corpus, plan(6), Crew())
        sitting.state.off = ["a", "b"]
        odd = Finding(
            signature="NEW", known=(), key="k", verdict="violation", invariant="J-L1", message="",
            program=BUSY, only_without=("a",),
        )  # fmt: skip
        hit = Hit("k", odd.verdict, odd.invariant, "", ("", "", ""), (), ())
        sitting.state.pending = [Pending(sitting.kernel, ("a", "b"), {}, hit)]
        with corpus.transaction() as db:
            sitting.settle(db, [odd])
    assert sitting.state.pending == []
    assert sitting.state.off == ["b"] and sitting.state.kept_on == ["a"]


def test_a_mistake_of_the_emulator_is_a_finding(tmp_path: Path) -> None:
    trial = Trial(BUSY, (), 1, 1, (), "KeyError: 17")
    with Corpus(tmp_path / "c.db") as corpus:
        sitting = FuzzCampaign(corpus, plan(6), Crew())
        sitting.conclude([], [trial, trial], (sitting.kernel, ()))
        report = module.report_of(sitting, False)
    (mistake,) = report.mistakes
    assert mistake.message == "KeyError: 17" and report.found


def test_seeds_become_parents(tmp_path: Path) -> None:
    seeds = seed_programs(["builtin"])[:8]
    with Corpus(tmp_path / "c.db") as corpus:
        chosen = msgspec.structs.replace(plan(6, kernel="fixed"), seeds=seeds)
        report = fuzz(corpus, chosen)
        assert report.programs == 6 and len(corpus.kept()) >= len(seeds)


def test_recorded_vectors_become_parents() -> None:
    vectors = Path(__file__).parents[2] / "conformance" / "vectors"
    programs = seed_programs([str(next(iter(sorted(vectors.glob("linux-6.12-powernv9-hugetlb.json")))))])
    assert programs and any(program.threads for program in programs)


def test_uniform_chance_for_comparison(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        report = fuzz(corpus, msgspec.structs.replace(plan(12), uniform=True))
    assert report.programs == 12


# -- the crew ----------------------------------------------------------------------------------


class Failing(msgspec.Struct, frozen=True):
    def run(self) -> None:
        raise ValueError("broken unit")


def test_a_unit_that_fails_is_told_of() -> None:
    (outcome,) = Crew().do([Failing()])  # type: ignore[list-item]
    assert outcome == Lost("ValueError: broken unit")
