"""Rows searched on a Dask cluster: each is sent there as a value, and comes back with its failure file."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import NamedTuple

from actors.cli.exits import BadInput, ExitCode, Told
from actors.cli.fleet import told
from actors.cli.shelf import run_shelf
from actors.cli.units import FAILURES, Unit
from actors.explore import Report
from actors.explore.executors import Cluster, ClusterLost, spread_lasting
from actors.trace.header import emulator_version

ALONE = Lock()
"""A worker with several threads does one row at a time: rows share the interpreter and the folder."""


Outcome = Report | Told


class Sent(NamedTuple):
    """What a worker sends back.

    Attributes:
        said: what the row came to.
        file: the content of its failure file; None without one.
        version: of the emulator over there.
    """

    said: Outcome
    file: bytes | None
    version: str


def run_afar(address: str, units: Sequence[Unit], seconds: float | None) -> Iterator[tuple[int, Outcome]]:
    """Search all rows on a cluster; what each came to, as it comes, its failure file kept here.

    Args:
        address: of the scheduler.
        units: the rows.
        seconds: time for all of them, shared out evenly; None for as long as it takes.

    Raises:
        ClusterLost: the cluster cannot be reached, or loses everything.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    cluster = Cluster(address)
    try:
        workers = cluster.workers()
        if workers == 0:
            raise ClusterLost(f"the cluster at {address} has no workers")
        share = None if seconds is None else seconds * min(workers, len(units)) / len(units)
        packed = [pickle.dumps(unit) for unit in units]
        for index, sent in spread_lasting(cluster.executor, partial(run_here, seconds=share), packed):
            yield index, received(sent, address)
    finally:
        cluster.close()


def run_here(packed: bytes, seconds: float | None) -> Sent:
    """Be a worker: search one row and pack up what it came to.

    The row comes pickled, so that the scheduler need not have what only scenarios and workers need.
    """
    said: Outcome
    with ALONE, TemporaryDirectory(prefix="tcemu-") as folder, chdir(folder):
        try:
            unit = unpacked(packed)
            said = [each for _, each in run_shelf([(0, unit)], seconds) if isinstance(each, Outcome)][-1]
        except Exception as error:
            said = told(error)
        return Sent(said, taken(said), emulator_version())


def unpacked(packed: bytes) -> Unit:
    """The row.

    Raises:
        BadInput: its scenario cannot be imported over there.
    """
    try:
        unit: Unit = pickle.loads(packed)
    except (ImportError, AttributeError) as problem:
        raise BadInput(f"--dask: a worker cannot find the scenario: {problem}") from None
    return unit


def taken(said: Outcome) -> bytes | None:
    """The content of the failure file, which is not kept over there."""
    if isinstance(said, Told) or said.failure_file is None:
        return None
    return Path(said.failure_file).read_bytes()


def received(sent: Sent, address: str) -> Outcome:
    """Keep the failure file here; a worker with another emulator is refused."""
    if sent.version != emulator_version():
        line = f"--dask: {address} has a worker with tcemu {sent.version}, here is {emulator_version()}"
        return Told(ExitCode.BAD_INPUT, line, "")
    if isinstance(sent.said, Report) and sent.said.failure_file is not None and sent.file is not None:
        FAILURES.mkdir(parents=True, exist_ok=True)
        (FAILURES / Path(sent.said.failure_file).name).write_bytes(sent.file)
    return sent.said


__all__ = ["run_afar"]
