"""Campaigns on a real Dask cluster: what is lost on the way changes nothing that is found."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.fuzz import Corpus
from tests.actors.explore.dask_cluster import ROOT, Parts, Wire, local_cluster

pytest.importorskip("distributed")

SITTING = """
    import sys
    import actors.fuzz.campaign as campaign
    import actors.fuzz.state as state
    from actors.explore.cluster import Cluster
    from actors.explore.failure import Switches
    from actors.fuzz import Corpus, Crew, FuzzCampaign, Plan

    campaign.PROGRAMS_PER_UNIT, campaign.UNITS, state.LOOKS_PER_BATCH = 1, 8, 2
    crew = Crew(Cluster(sys.argv[2])) if len(sys.argv) > 2 else Crew()
    plan = Plan(kernel=Switches("v6.12"), seed=1, programs=16)
    with Corpus(sys.argv[1]) as corpus:
        FuzzCampaign(corpus, plan, crew, lambda status: print(status.programs, flush=True)).run()
"""
"""A campaign that says, after every unit, how many programs have been run."""


def sitting(*args: str) -> subprocess.Popen[str]:
    """Start a campaign."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SITTING), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def kept(path: Path) -> object:
    """All that a corpus has kept, times left out."""
    with Corpus(path) as corpus:
        row = corpus.campaign("v6.12", 1, "")
        failures = [(each.id, each.signature, each.hits, each.programs) for each in corpus.failures()]
        programs = [(each.number, each.id) for each in corpus.kept()]
        return row.batch, row.programs, row.orders, corpus.features(), programs, failures


@pytest.fixture(scope="module")
def cluster() -> Iterator[Parts]:
    with local_cluster(2) as parts:
        yield parts


def test_a_worker_and_then_the_connection_are_killed(cluster: Parts, tmp_path: Path) -> None:
    with sitting(str(tmp_path / "here.db")) as here:
        assert here.stdout is not None
        alone = here.stdout.read().split()
    wire = Wire(cluster.port)
    told: list[str] = []
    with sitting(str(tmp_path / "afar.db"), wire.address) as afar:
        assert afar.stdout is not None
        for line in afar.stdout:
            told.append(line.strip())
            if len(told) == 2:
                cluster.workers[0].kill()
            if len(told) == 5:
                assert wire.cut() > 0
    wire.close()
    assert here.returncode == afar.returncode == 0
    assert told == alone
    assert cluster.workers[0].poll() is not None
    found = kept(tmp_path / "afar.db")
    assert found == kept(tmp_path / "here.db")
    assert found[1] == 16 and found[-1]  # type: ignore[index]


COMMAND = """
    import sys
    import actors.cli.fuzz
    import actors.explore.executors
    import actors.fuzz.campaign as campaign
    import actors.fuzz.state as state
    from actors.cli.app import run

    campaign.PROGRAMS_PER_UNIT, campaign.UNITS, state.LOOKS_PER_BATCH = 2, 4, 0
    actors.cli.fuzz.LINE_SECONDS = 0
    actors.explore.executors.sleep = lambda seconds: None
    sys.exit(run(["fuzz", "--kernel", "v6.12", "--programs", "100000", *sys.argv[1:]]))
"""
"""``tcemu fuzz`` that tells how it stands after every unit, and does not wait for what does not come back."""


def test_the_scheduler_is_killed(tmp_path: Path) -> None:
    with local_cluster(1) as parts:
        words = [sys.executable, "-c", textwrap.dedent(COMMAND), "--dask", parts.address]
        with subprocess.Popen(
            words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as fuzz:  # fmt: skip
            assert fuzz.stderr is not None and fuzz.stdout is not None
            lines = []
            for line in fuzz.stderr:
                lines.append(line)
                if line.startswith("v6.12: 12 programs"):
                    parts.scheduler.kill()
            out = fuzz.stdout.read()
    assert fuzz.returncode == 2
    assert lines[-1] == f"no Dask scheduler at {parts.address}: [Errno 111] Connection refused\n"
    assert " 8 programs" in out and "Kept in .tcemu/fuzz.db" in out
    with Corpus(tmp_path / ".tcemu" / "fuzz.db") as corpus:
        assert corpus.campaign("v6.12", 0, "").programs == 8
        assert corpus.kept()


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "actors.cli", "fuzz", "--dask", "tcp://127.0.0.1:1"]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "no Dask scheduler at tcp://127.0.0.1:1: [Errno 111] Connection refused\n"
    assert not (tmp_path / ".tcemu").exists()
