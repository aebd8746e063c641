"""``tcemu fuzz`` and ``tcemu corpus`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Tcemu


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with a small campaign on a kernel with many defects."""
    from actors.explore.failure import Switches
    from actors.fuzz import Corpus, Plan, fuzz

    path = tmp_path_factory.mktemp("fuzzed") / "c.db"
    with Corpus(path) as corpus:
        fuzz(corpus, Plan(kernel=Switches("v6.12"), seed=0, programs=40))
    return path


def test_a_campaign_on_the_mended_kernel(tcemu: Tcemu) -> None:
    done = tcemu("fuzz", "--kernel", "fixed", "--programs", 1, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["programs"] == 48 and report["findings"] == [] and report["features"]["pair"] > 100
    again = tcemu("fuzz", "--kernel", "fixed", "--programs", 1, "--coverage", "--curve", "c.svg")
    assert again.returncode == 0 and "now 0 programs" in again.stdout and "Never reached:" in again.stdout


def test_findings_make_exit_code_1(tcemu: Tcemu, fuzzed: Path) -> None:
    done = tcemu("fuzz", "--kernel", "v6.12", "--programs", 1, "--corpus", fuzzed, "--curve", "curve.svg")
    assert done.returncode == 1
    assert "known: " in done.stdout and "tcemu corpus" not in done.stderr
    assert done.stdout.splitlines()[-1].startswith("  tcemu corpus show ")
    assert (fuzzed.parent / "c.db").exists()


def test_looking_at_the_corpus(tcemu: Tcemu, fuzzed: Path, tmp_path: Path) -> None:
    listed = tcemu("corpus", "ls", "--corpus", fuzzed, "--json")
    failures = json.loads(listed.stdout)["failures"]
    assert listed.returncode == 0 and failures
    shown = tcemu("corpus", "show", failures[0]["id"], "--corpus", fuzzed)
    assert "def test_" in shown.stdout and failures[0]["label"] in shown.stdout
    for line in shown.stdout.splitlines()[-3:]:
        assert tcemu(*line.split()[1:]).returncode in (0, 1), line
    exported = tcemu("corpus", "export", "out", "--corpus", fuzzed)
    assert exported.returncode == 0
    kept = sorted((tmp_path / "out" / "failures").glob("*.json"))
    assert kept and tcemu("replay", kept[0]).returncode == 1
    programs = list((tmp_path / "out").glob("*.json"))
    assert len(programs) == len(failures) == len(list((tmp_path / "out").glob("test_*.py")))
    merged = tcemu("corpus", "merge", fuzzed, "--corpus", "mine.db")
    assert merged.returncode == 0 and "taken over" in merged.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("fuzz", "--kernel", "v9"), "no kernel 'v9'"),
        (("fuzz", "--seconds", "-1"), "--seconds"),
        (("fuzz", "--workers", "0"), "--workers"),
        (("fuzz", "--corpus", "."), "is a folder, expected the file of a corpus"),
        (("fuzz", "--seeds", "missing.json", "--seconds", "1"), "missing.json"),
        (("corpus", "ls"), "no such corpus"),
        (("corpus", "show", "xyz"), "no such corpus"),
        (("corpus", "frobnicate"), "frobnicate"),
    ],
)
def test_bad_input_is_one_line(tcemu: Tcemu, args: tuple[str, ...], said: str) -> None:
    done = tcemu(*args)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
