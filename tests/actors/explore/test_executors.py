"""Work spread over executors: every unit counted once, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path
from typing import Any

import pytest

from actors.explore.cluster import Cluster, deliver
from actors.explore.executors import ATTEMPTS, TOGETHER, ClusterLost, Loss, Lost, Made, loss_of
from actors.explore.result import Report
from actors.explore.scenarios import builtin
from actors.explore.workers import Unit, explore_all, run_unit
from tests.actors.explore.dask_cluster import ROOT, Parts, Wire, local_cluster


def units(schedules: int) -> list[Unit]:
    """A campaign of two programs on three kernels."""
    programs = [builtin("exit-with-lazy-borrower"), builtin("map-vs-unregister")]
    return [
        Unit(program=program, kernel=kernel, strategy=strategy, schedules=schedules, seed=3)
        for program in programs
        for kernel in ("v4.9", "v6.12", "fixed")
        for strategy in ("pct", "random")
    ]


def plain(report: Report) -> dict[str, Any]:
    """A report without the time it took."""
    return report.as_json() | {"seconds": 0}


class Losing(Executor):
    """Loses the first ``lost`` units that it is given, and each ``deadly`` one; says how."""

    def __init__(self, lost: int = 0, deadly: int | None = None, how: BaseException | None = None) -> None:
        self.lost = lost
        self.deadly = deadly
        self.how = how or CancelledError()
        self.done: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.lost > 0 or args[0] == self.deadly:
            self.lost -= 1
            future.set_exception(self.how)
        else:
            self.done.append(args[0])
            future.set_result(fn(*args, **kwargs))
        return future


def test_what_is_lost_is_done_again() -> None:
    losing = Losing(7)
    outcomes = list(Made(lambda: losing).spread(str, range(5)))
    assert sorted(outcomes) == [(unit, str(unit)) for unit in range(5)]
    assert sorted(losing.done) == list(range(5))


def test_an_executor_that_loses_everything_is_given_up() -> None:
    losing = Losing(3 * ATTEMPTS)
    with pytest.raises(ClusterLost, match="3 of 3 units were lost 5 times in a row"):
        list(Made(lambda: losing).spread(abs, range(3)))


def test_an_executor_that_takes_no_more_is_replaced() -> None:
    broken = [BrokenExecutor("a worker died while it was idle")]

    def make() -> Executor:
        pool = Losing()
        if broken:
            problem = broken.pop()
            pool.submit = lambda *args: (_ for _ in ()).throw(problem)  # type: ignore[method-assign]
        return pool

    pool = Made(make)
    assert sorted(pool.spread(abs, [-1, -2])) == [(0, 1), (1, 2)]
    assert pool.deaths == 0


def test_a_unit_that_ends_its_workers_runs_alone_and_is_given_up() -> None:
    losing = Losing(deadly=1, how=BrokenExecutor("a worker died"))
    pool = Made(lambda: losing)
    outcomes = dict(pool.spread(abs, range(4)))
    assert outcomes == {0: 0, 1: Lost("every worker that ran it has died"), 2: 2, 3: 3}
    assert pool.deaths == TOGETHER + 1


class KilledWorker(Exception):
    """What Dask says when worker after worker has died of one unit."""

    __module__ = "distributed.scheduler"


def test_a_unit_that_dask_gives_up_is_not_tried_again() -> None:
    losing = Losing(deadly=1, how=KilledWorker())
    outcomes = dict(Made(lambda: losing).spread(abs, range(3)))
    assert outcomes == {0: 0, 1: Lost("every worker that ran it has died"), 2: 2}


class Away(Made):
    """A pool whose workers have gone, if they were there at all."""

    def __init__(self, answers: list[Executor | None]) -> None:
        super().__init__(Losing)
        self.answers = answers

    def executor(self) -> Executor:
        self.made = self.made or self.answers.pop(0)
        if self.made is None:
            raise ClusterLost("nobody answers")
        return self.made

    def at_work(self) -> bool:
        if not self.answers:
            raise ClusterLost("nobody is there")
        return False


def test_a_cluster_that_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("actors.explore.executors.sleep", waited.append)
    pool = Away([Losing(1), None, None, Losing(0)])
    assert sorted(pool.spread(abs, [-1, -2])) == [(0, 1), (1, 2)]
    assert waited == [1, 2]
    with pytest.raises(ClusterLost, match="nobody answers"):
        list(Away([None]).spread(abs, [-1]))


def test_work_that_nobody_does_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.explore.executors.PATIENCE_SECONDS", 0)
    idle = Losing()
    monkeypatch.setattr(idle, "submit", lambda *args: Future())
    assert list(Away([idle, Losing()]).spread(abs, [-1])) == [(0, 1)]
    with pytest.raises(ClusterLost, match="nobody is there"):
        list(Away([idle]).spread(abs, [-1]))


def test_errors_of_the_work_are_raised() -> None:
    pool = Made(lambda: ThreadPoolExecutor(1))
    with pytest.raises(ValueError, match="invalid literal"):
        list(pool.spread(int, ["1", "x"]))
    pool.close()


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor], ids=["threads", "processes"])
def test_any_executor_gives_the_same(make: Callable[[int], Executor]) -> None:
    wanted, pool = units(10), Made(lambda: make(2))
    spread = dict(pool.spread(run_unit, wanted))
    pool.close()
    reports = [report for _, report in sorted(spread.items()) if isinstance(report, Report)]
    assert [plain(report) for report in reports] == [plain(r) for r in explore_all(wanted)]


# -- a real cluster ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Parts]:
    """A scheduler and two workers."""
    pytest.importorskip("distributed")
    with local_cluster(2) as parts:
        yield parts


def stress(folder: Path, *args: str) -> list[dict[str, Any]]:
    """What ``tcemu stress`` finds, without the time it took."""
    folder.mkdir()
    command = [sys.executable, "-m", "actors.cli", "stress", "exit-with-lazy-borrower", "--json"]
    done = subprocess.run(
        [*command, "--schedules", "40", *args],
        capture_output=True, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return [run | {"seconds": 0} for run in json.loads(done.stdout)["runs"]]


def test_stress_finds_the_same_on_a_cluster(cluster: Parts, tmp_path: Path) -> None:
    afar = stress(tmp_path / "afar", "--dask", cluster.address)
    here = stress(tmp_path / "here", "--workers", "1")
    assert afar == here
    kept = [sorted((tmp_path / side / ".tcemu" / "failures").iterdir()) for side in ("afar", "here")]
    assert len(kept[0]) == sum(run["verdict"] != "ok" for run in here)
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    assert [path.read_bytes() for path in kept[0]] == [path.read_bytes() for path in kept[1]]


class Fetched:
    """A task of Dask's whose outcome cannot be fetched."""

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem

    def __await__(self) -> Iterator[None]:
        raise self.problem
        yield


@pytest.mark.parametrize("problem", [ConnectionResetError("gone"), asyncio.CancelledError("closed")])
def test_an_outcome_that_is_lost_while_it_is_fetched_is_told_of(problem: BaseException) -> None:
    answer: Future[int] = Future()
    asyncio.run(deliver(Fetched(problem), answer))
    assert loss_of(answer.exception(timeout=0)) is Loss.CONNECTION


def test_what_the_work_raises_over_there_is_raised_here(cluster: Parts) -> None:
    afar = Cluster(cluster.address)
    with pytest.raises(ValueError, match="invalid literal"):
        list(afar.spread(int, ["1", "x"]))
    afar.close()


CLIENT = """
import json, sys
from actors.explore.cluster import Cluster
from actors.explore.workers import run_unit
from tests.actors.explore.test_executors import plain, units

cluster, closed = Cluster(sys.argv[1]), []
close = cluster.close
cluster.close = lambda: (closed.append(1), close())

for index, report in cluster.spread(run_unit, units(60)):
    print(json.dumps([index, plain(report)]), flush=True)
print(json.dumps([len(closed), cluster.workers()]))
cluster.close()
"""


def test_a_worker_and_then_the_connection_are_killed(cluster: Parts) -> None:
    wire = Wire(cluster.port)
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, wire.address]
    arrived: list[tuple[int, dict[str, Any]]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as client:
        assert client.stdout is not None
        for line in client.stdout:
            arrived.append(json.loads(line))
            if len(arrived) == 2:
                cluster.workers[0].kill()
            if len(arrived) == 4:
                assert wire.cut() > 0
    wire.close()
    assert client.returncode == 0
    closed, left = arrived.pop()
    assert int(closed) > 0 and str(left) == "1"
    assert sorted(index for index, _ in arrived) == list(range(12))
    here = [json.loads(json.dumps(plain(report))) for report in explore_all(units(60))]
    assert [report for _, report in sorted(arrived, key=lambda pair: pair[0])] == here


def test_a_scenario_that_workers_do_not_have(cluster: Parts, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("async def scenario(machine): pass\n")
    words = ["stress", "only_here:scenario", "--dask", cluster.address, "--schedules", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "actors.cli", *words],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "--dask: a worker cannot find the scenario: No module named 'only_here'\n"


@pytest.mark.parametrize(
    ("address", "reason"),
    [("nonsense", "expected tcp://HOST:PORT"), ("tcp://127.0.0.1:1", "Connection refused")],
)
def test_a_cluster_that_is_not_there(address: str, reason: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ClusterLost, match=f"no Dask scheduler at {address}: .*{reason}"):
        Cluster(address).executor()


ORPHANS = """
import os
import signal

from actors.explore.executors import Processes


def worker(unit):
    return os.getpid()


if __name__ == "__main__":
    from orphans import worker as imported

    print(*{pid for _, pid in Processes(2).spread(imported, range(8))}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def ended(pid: int) -> bool:
    """Whether a process runs no more, though nobody may have asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_workers_end_with_whoever_gave_them_work(tmp_path: Path) -> None:
    (tmp_path / "orphans.py").write_text(ORPHANS)
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, str(tmp_path / "orphans.py")]
    killed = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=False
    )
    pids = [int(pid) for pid in killed.stdout.split()]
    assert pids
    for _ in range(1_000):
        if all(map(ended, pids)):
            break
        time.sleep(0.01)
    assert all(map(ended, pids))
