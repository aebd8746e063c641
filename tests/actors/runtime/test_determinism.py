"""The same choices make the same run: on both controlled runtimes, and in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from actors.program.values import MachineSpec
from tests.actors.runtime.kernel_scenario import Scenario, digest
from tests.actors.runtime.lab import on_bare, on_trio, trace

ROOT = Path(__file__).parents[3]
SEEDS = 220


def test_the_whole_machine_runs_alike_on_the_bare_loop_and_under_trio() -> None:
    ends = set()
    for seed in range(SEEDS):
        bare, here = on_bare(Scenario, seed)
        trios, there = on_trio(Scenario, seed)
        assert trace(trios) == trace(bare), seed
        assert there.state() == here.state(), seed
        assert bare.chooser.choices == trios.chooser.choices  # type: ignore[attr-defined]
        ends.add(repr(here.answers))
    assert len(ends) > 5, "the seeds make different orders"


def test_the_scenario_ends_with_everything_given_back() -> None:
    for seed in range(20):
        _, scenario = on_bare(Scenario, seed)
        state = scenario.state()
        pins = {holder for holder, _ in state["pins"]}
        assert not any(holder.startswith("mm:1") for holder in pins), "the process that died holds nothing"
        assert isinstance(scenario.machine.spec, MachineSpec)


def test_two_processes_with_different_hash_seeds_make_the_same_runs() -> None:
    count = 25
    runs = []
    for hash_seed in ("1", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.actors.runtime.kernel_scenario", str(count)]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
        runs.append(done.stdout)
    assert runs[0] == runs[1]
    mine = [digest(*on_bare(Scenario, seed)) for seed in range(count)]
    assert runs[0].split() == mine
    assert len(set(mine)) == count
