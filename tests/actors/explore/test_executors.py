"""Work spread over executors: every unit counted once, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actors.explore.executors import ATTEMPTS, Cluster, ClusterLost, spread_lasting
from actors.explore.result import Report
from actors.explore.scenarios import builtin
from actors.explore.workers import Unit, explore_all, run_unit

ROOT = Path(__file__).parents[3]


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
    """Loses the first ``lost`` units that it is given."""

    def __init__(self, lost: int) -> None:
        self.lost = lost

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.lost > 0:
            self.lost -= 1
            future.set_exception(CancelledError())
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_what_is_lost_is_done_again() -> None:
    done: list[int] = []
    losing = Losing(7)

    def work(unit: int) -> int:
        done.append(unit)
        return -unit

    outcomes = list(spread_lasting(lambda: losing, work, range(5)))
    assert sorted(outcomes) == [(unit, -unit) for unit in range(5)]
    assert sorted(done) == list(range(5))


def test_an_executor_that_loses_everything_is_given_up() -> None:
    losing = Losing(3 * ATTEMPTS)
    with pytest.raises(ClusterLost, match="3 of 3 units were lost 5 times in a row"):
        list(spread_lasting(lambda: losing, abs, range(3)))


def test_a_cluster_that_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("actors.explore.executors.sleep", waited.append)
    answers = [Losing(1), None, None, Losing(0)]

    def connect() -> Executor:
        executor = answers.pop(0)
        if executor is None:
            raise ClusterLost("nobody answers")
        return executor

    assert sorted(spread_lasting(connect, abs, [-1, -2])) == [(0, 1), (1, 2)]
    assert waited == [1, 2]
    answers = [None]
    with pytest.raises(ClusterLost, match="nobody answers"):
        list(spread_lasting(connect, abs, [-1]))


def test_errors_of_the_work_are_raised() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="invalid literal"):
        list(spread_lasting(lambda: pool, int, ["1", "x"]))


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor], ids=["threads", "processes"])
def test_any_executor_gives_the_same(make: Callable[[int], Executor]) -> None:
    wanted = units(10)
    with make(2) as pool:
        spread = dict(spread_lasting(lambda: pool, run_unit, wanted))
    assert [plain(spread[i]) for i in range(len(wanted))] == [plain(r) for r in explore_all(wanted)]


# -- a real cluster ----------------------------------------------------------------------------------


class Wire:
    """A port that leads to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.ends: list[socket.socket] = []
        self.cut_ends: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.server.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self.server.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> int:
        """Cut all connections; new ones may be made. How many there were."""
        ends, self.ends = self.ends, []
        self.cut_ends += ends
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        self.server.close()
        self.cut()
        for end in self.cut_ends:
            end.close()


Workers = list["subprocess.Popen[str]"]


def dask(*args: str) -> subprocess.Popen[str]:
    """Start a part of a cluster."""
    command = [sys.executable, "-m", "dask", *args, "--no-dashboard"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[int, Workers]]:
    """A scheduler and two workers on this machine: the port of the one, the processes of the others."""
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    started = [dask("scheduler", "--host", address)]
    work = ("worker", address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
    started += [dask(*work), dask(*work)]
    try:
        for process in started[1:]:
            assert process.stderr is not None
            assert any("Registered to" in line for line in process.stderr), "the worker has ended"
        yield port, started[1:]
    finally:
        for process in started:
            process.kill()
            process.communicate()


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


def test_stress_finds_the_same_on_a_cluster(cluster: tuple[int, Workers], tmp_path: Path) -> None:
    afar = stress(tmp_path / "afar", "--dask", f"tcp://127.0.0.1:{cluster[0]}")
    here = stress(tmp_path / "here", "--workers", "1")
    assert afar == here
    kept = [sorted((tmp_path / side / ".tcemu" / "failures").iterdir()) for side in ("afar", "here")]
    assert len(kept[0]) == sum(run["verdict"] != "ok" for run in here)
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    assert [path.read_bytes() for path in kept[0]] == [path.read_bytes() for path in kept[1]]


CLIENT = """
import json, sys
from actors.explore.executors import Cluster, spread_lasting
from actors.explore.workers import run_unit
from tests.actors.explore.test_executors import plain, units

cluster, rounds = Cluster(sys.argv[1]), []

def connect():
    rounds.append(1)
    return cluster.executor()

for index, report in spread_lasting(connect, run_unit, units(60)):
    print(json.dumps([index, plain(report)]), flush=True)
print(json.dumps([len(rounds), cluster.workers()]))
cluster.close()
"""


def test_a_worker_and_then_the_connection_are_killed(cluster: tuple[int, Workers]) -> None:
    port, workers = cluster
    wire = Wire(port)
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, wire.address]
    arrived: list[tuple[int, dict[str, Any]]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as client:
        assert client.stdout is not None
        for line in client.stdout:
            arrived.append(json.loads(line))
            if len(arrived) == 2:
                workers[0].kill()
            if len(arrived) == 4:
                assert wire.cut() > 0
    wire.close()
    assert client.returncode == 0
    rounds, left = arrived.pop()
    assert rounds > 1
    assert left == 1
    assert sorted(index for index, _ in arrived) == list(range(12))
    here = [json.loads(json.dumps(plain(report))) for report in explore_all(units(60))]
    assert [report for _, report in sorted(arrived, key=lambda pair: pair[0])] == here


def test_a_scenario_that_workers_do_not_have(cluster: tuple[int, Workers], tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("async def scenario(machine): pass\n")
    words = ["stress", "only_here:scenario", "--dask", f"tcp://127.0.0.1:{cluster[0]}", "--schedules", "2"]
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
