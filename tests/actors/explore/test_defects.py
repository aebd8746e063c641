"""Each defect's minimal program shows it on `fixed` with the defect, and `fixed` survives the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.cli.units import Unit, run_unit
from actors.explore import Report, scenarios
from actors.kernel.catalogue import find_kernel, piece_names
from actors.program import load_program

PROGRAMS = Path(scenarios.__file__).parent / "defects"
DEFECTS = [slug for slug, piece in piece_names().items() if piece.defect]


def search(slug: str, switches: tuple[str, ...]) -> Report:
    """Search the program of a defect; with failure points made to fail when it takes that."""
    program = load_program(PROGRAMS / f"{slug}.json")
    fails = "all" if piece_names()[slug].failpoints else None
    return run_unit(
        Unit(program, find_kernel("fixed", switches), "fixed", schedules=2_000, fail_nth=fails), 20.0
    )


def test_every_defect_has_a_program() -> None:
    assert sorted(path.stem for path in PROGRAMS.glob("*.json")) == sorted(DEFECTS)


@pytest.mark.parametrize("slug", DEFECTS)
def test_the_program_shows_its_defect(slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = load_program(PROGRAMS / f"{slug}.json")
    report = search(slug, program.with_)
    seen = {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)}
    assert program.expect["fixed"] in seen, report.message
    assert slug in program.with_


@pytest.mark.parametrize("slug", DEFECTS)
def test_the_mended_kernel_survives_the_program(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = search(slug, ())
    assert (report.verdict, report.findings) == ("ok", ()), report.message
    assert report.complete


def test_a_charge_that_wraps_is_seen_to_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    slug, partner = "account-underflow-wrap", "current-mm-accounting"
    assert (search(slug, (slug, partner)).invariant, search(slug, (slug,)).verdict) == ("J-L3", "ok")
    assert "18446744073709" in search(slug, (slug, partner)).message
    assert "18446744073709" not in search(slug, (partner,)).message


@pytest.mark.parametrize(("kernel", "noted"), [("v4.9", True), ("fixed", False)])
def test_pages_that_tces_outlive_are_marked_unless_only_the_exchange_does(
    kernel: str, noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = load_program(PROGRAMS / "dirty-not-marked.json")
    chosen = find_kernel(kernel, () if noted else ("tce-outlives-pins",))
    report = run_unit(Unit(program, chosen, kernel, schedules=50))
    assert report.invariant == "J-T1"
    assert ("J-D1" in {finding.invariant for finding in report.findings}) is noted
