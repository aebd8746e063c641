"""How soon campaigns find what they have to find: measured with enough seeds, and told as it was."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from docs.generate import campaigns
from docs.generate.campaigns import SEEDS, WANTED, Found, Sitting, campaign_findings, loaded, short


def test_every_kernel_was_measured_with_every_seed() -> None:
    for kernel in WANTED:
        seeds = [each.seed for each in loaded() if each.kernel == kernel and not each.uniform]
        assert sorted(seeds) == list(SEEDS)


def test_campaigns_find_what_they_have_to_find() -> None:
    missed = [
        (each.kernel, each.seed, slug)
        for each in loaded()
        if not each.uniform
        for slug in WANTED[each.kernel]
        if slug not in each.found
    ]
    assert missed == []


def sitting(seed: int, uniform: bool, limit: float, **found: float) -> Sitting:
    made = {slug.replace("_", "-"): Found("J-K2", int(at * 10), at) for slug, at in found.items()}
    return Sitting("v4.9", seed, uniform, limit, 1000, limit, made)


def test_the_median_and_its_bound_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = (
        *(sitting(seed, False, 600, unbalanced_put=10.0 + seed) for seed in range(4)),
        sitting(4, False, 600),
        sitting(0, True, 300, unbalanced_put=60.0),
        *(sitting(seed, True, 300) for seed in range(1, 5)),
    )
    monkeypatch.setattr(campaigns, "loaded", lambda: measured)
    line = "| `v4.9` | `unbalanced-put` | J-K2 | 4 of 5 | 115 | 12 | 1 of 5 | > 300 | > 25.0 |"
    assert line in campaign_findings("")
    assert "| `v4.9` | `unbalanced-put` | 4 of 5 | 115 | 12 | > 300 |" in short()


def test_a_campaign_ends_when_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WANTED, "v6.12", ("partial-pin-positive",))
    monkeypatch.setattr(campaigns, "WORKERS", 1)
    monkeypatch.setattr(import_module("actors.fuzz.campaign"), "UNITS", 2)
    monkeypatch.setattr(import_module("actors.fuzz.triage"), "MOST_STEPS", 60_000)
    monkeypatch.setattr(import_module("actors.fuzz.triage"), "CAUSE_ORDERS", 6)
    made = campaigns.raced("v6.12", 0, False, 120)
    assert set(made.found) >= {"partial-pin-positive"} and made.seconds < 100


def test_a_kernel_that_nobody_races_on_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(campaigns, "README", tmp_path / "README.md")
    assert campaigns.main(["v4.19"]) == 2
    assert "v4.19: expected one of v6.12, v4.10-seed, v4.9" in capsys.readouterr().err
