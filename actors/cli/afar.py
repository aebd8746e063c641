"""A campaign on a Dask cluster: what is found there comes back, with its failure files."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from actors.cli.exits import BadInput, ExitCode, Told
from actors.cli.fleet import told
from actors.cli.shelf import run_shelf
from actors.cli.units import FAILURES, Unit
from actors.explore import Report
from actors.explore.cluster import Cluster
from actors.explore.executors import Lost

Outcome = Report | Told


class Sent(NamedTuple):
    """What a worker sends back of a row.

    Attributes:
        said: what the row came to.
        file: the content of its failure file; None without one.
    """

    said: Outcome
    file: bytes | None


@contextmanager
def cluster_at(address: str) -> Iterator[Cluster]:
    """A cluster with at least one worker; it is left with the block.

    Raises:
        ClusterLost: there is none.
    """
    cluster = Cluster(address)
    try:
        cluster.check()
        yield cluster
    finally:
        cluster.close()


def run_afar(address: str, units: Sequence[Unit], seconds: float | None) -> Iterator[tuple[int, Outcome]]:
    """Search all rows on a cluster; what each came to, as it comes, its failure file kept here.

    Args:
        address: of the scheduler.
        units: the rows.
        seconds: time for all of them, shared out evenly; None for as long as it takes.

    Raises:
        ClusterLost: the cluster cannot be reached, or loses everything.
    """
    with cluster_at(address) as cluster:
        share = None if seconds is None else seconds * min(cluster.workers(), len(units)) / len(units)
        packed = [pickle.dumps(unit) for unit in units]
        for index, sent in cluster.spread(partial(run_here, seconds=share), packed):
            yield index, received(sent, units[index])


def run_here(packed: bytes, seconds: float | None) -> Sent:
    """Be a worker: search one row, in the folder where this is, and pack up what it came to."""
    said: Outcome
    try:
        unit = unpacked(packed)
        said = [each for _, each in run_shelf([(0, unit)], seconds) if isinstance(each, Outcome)][-1]
    except Exception as error:
        said = told(error)
    return Sent(said, taken(said))


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


def received(sent: Sent | Lost, unit: Unit) -> Outcome:
    """What a row came to, its failure file kept here."""
    if isinstance(sent, Lost):
        line = f"tcemu: {unit.name} on {unit.kernel.name}: {sent.reason}"
        return Told(ExitCode.EMULATOR, line, "")
    if isinstance(sent.said, Report) and sent.said.failure_file is not None and sent.file is not None:
        FAILURES.mkdir(parents=True, exist_ok=True)
        (FAILURES / Path(sent.said.failure_file).name).write_bytes(sent.file)
    return sent.said


__all__ = ["cluster_at", "run_afar"]
