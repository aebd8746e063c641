"""Workers that die, and campaigns that are killed: nothing that was told of is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from random import Random

import pytest

from actors.fuzz import Corpus, Crew
from actors.fuzz.work import Lost
from tests.actors.fuzz.deadly import Deadly, Fine

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_worker_that_dies_has_a_successor(tmp_path: Path) -> None:
    crew = Crew(2)
    units = [Fine(), Deadly(str(tmp_path / "mark")), *[Fine()] * 6]
    assert list(crew.do(units)) == [()] * 8  # type: ignore[arg-type]
    assert crew.deaths >= 1
    crew.close()


@pytest.mark.slow
def test_a_unit_that_ends_every_worker_is_given_up() -> None:
    crew = Crew(2)
    outcomes = list(crew.do([Fine(), Deadly(), Fine(), Fine()]))  # type: ignore[list-item]
    crew.close()
    assert outcomes == [(), Lost("every worker that ran it has died"), (), ()]


SITTING = """
    import actors.fuzz.campaign as campaign
    import actors.fuzz.state as state
    from actors.explore.failure import Switches
    from actors.fuzz import Corpus, Plan, fuzz

    campaign.PROGRAMS_PER_UNIT, campaign.UNITS, state.LOOKS_PER_BATCH = 1, 3, 0
    conclude = campaign.FuzzCampaign.conclude

    def told(self, *learned):
        conclude(self, *learned)
        print(self.row.batch, self.row.programs, len(self.covered), len(self.corpus.kept()), flush=True)

    campaign.FuzzCampaign.conclude = told
    with Corpus({path!r}) as corpus:
        fuzz(corpus, Plan(kernel=Switches("v6.12"), seed=5, programs=100000))
"""


def test_killed_at_any_moment_nothing_told_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    random = Random(1)
    told = (0, 0, 0, 0)
    for _ in range(4):
        lines = killed(path, most=random.randrange(1, 5), delay=random.random() * 0.3)
        if lines:
            told = max(told, *lines)
        with Corpus(path) as corpus:
            row = corpus.campaign("v6.12", 5, "")
            assert (row.batch, row.programs, len(corpus.features()), len(corpus.kept())) >= told
            assert row.programs == 3 * row.batch
            assert corpus.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert all(corpus.program(kept.number) for kept in corpus.kept())
    assert told[1] >= 12


def killed(path: Path, most: int, delay: float) -> list[tuple[int, int, int, int]]:
    """Run a campaign, kill it a moment after so many batches; the batches that it told of."""
    code = textwrap.dedent(SITTING.format(path=str(path)))
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    lines: list[tuple[int, int, int, int]] = []
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            one, two, three, four = map(int, line.split())
            lines.append((one, two, three, four))
            if len(lines) >= most:
                break
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        lines += [tuple(map(int, line.split())) for line in process.stdout if len(line.split()) == 4]  # type: ignore[misc]
    return lines


def test_an_unfinished_transaction_is_as_if_never_begun(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        row = corpus.campaign("fixed", 0, "")
    other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE campaigns SET programs = 99")
    other.close()
    with Corpus(tmp_path / "c.db") as corpus:
        assert corpus.campaign("fixed", 0, "") == row
