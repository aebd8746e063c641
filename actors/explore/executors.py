"""Work spread over any executor, even one whose workers or connection are lost on the way.

A unit of work is a value, and its outcome depends on nothing else. So what is lost with a worker or a
connection is simply done again, and an outcome that arrives twice is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import suppress
from importlib import import_module
from socket import create_connection
from time import sleep
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
U = TypeVar("U")

ATTEMPTS = 5
"""How often in a row work is handed out without a single outcome before that is given up."""

CONNECT_SECONDS = 10


class ClusterLost(Exception):
    """A cluster cannot be reached, or loses all that it is given."""


def spread_lasting(
    connect: Callable[[], Executor], work: Callable[[T], U], units: Sequence[T]
) -> Iterator[tuple[int, U]]:
    """Apply ``work`` to every unit in an executor; outcomes as they come, each once, with their index.

    Args:
        connect: gives the executor; asked again after something was lost, until nothing is left to do.
        work: a function that other processes can import.
        units: what to apply it to.

    Raises:
        ClusterLost: several rounds in a row came to nothing.
        whatever ``work`` raises.
    """
    left = dict(enumerate(units))
    executor, fruitless = connect(), 0
    while left:
        before = len(left)
        for index, outcome in one_round(executor, work, left):
            del left[index]
            yield index, outcome
        fruitless = fruitless + 1 if len(left) == before else 0
        if fruitless == ATTEMPTS:
            raise ClusterLost(f"{len(left)} of {len(units)} units were lost {ATTEMPTS} times in a row")
        if left:
            executor = again(connect)


def again(connect: Callable[[], Executor]) -> Executor:
    """Connect once more to what was there before: it may need a moment.

    Raises:
        ClusterLost: it does not come back.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return connect()
        except ClusterLost:
            sleep(attempt)
    return connect()


def one_round(executor: Executor, work: Callable[[T], U], left: dict[int, T]) -> Iterator[tuple[int, U]]:
    """Hand out all that is left; the outcomes of what is not lost."""
    futures: dict[Future[U], int] = {}
    try:
        futures = {executor.submit(work, unit): index for index, unit in left.items()}
        for future in as_completed(futures):
            error = None if future.cancelled() else future.exception()
            if error is not None and not is_loss(error):
                raise error
            if not future.cancelled() and error is None:
                yield futures[future], future.result()
    except Exception as problem:
        if not is_loss(problem):
            raise
    finally:
        for future in futures:
            future.cancel()


def is_loss(error: BaseException) -> bool:
    """Whether an error tells of a worker or a connection that was lost, not of the work."""
    if isinstance(error, (CancelledError, BrokenExecutor)):
        return True
    return type(error).__module__.partition(".")[0] == "distributed"


class Cluster:
    """A Dask cluster that somebody else has started.

    Args:
        address: of its scheduler, such as ``tcp://10.0.0.1:8786``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client: Any = None

    def executor(self) -> Executor:
        """Connect, or connect again, and return an executor that hands work to whoever is free.

        Raises:
            ClusterLost: nobody answers there, or dask is not installed here.
        """
        try:
            distributed: Any = import_module("distributed")
        except ImportError:
            raise ClusterLost("dask is not installed; pip install 'tcemu[cluster]'") from None
        self.close()
        try:
            knock(self.address)
            self.client = distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as problem:
            reason = str(problem).partition("\n")[0]
            raise ClusterLost(f"no Dask scheduler at {self.address}: {reason}") from None
        executor: Executor = self.client.get_executor(pure=False)
        return executor

    def workers(self) -> int:
        """How many workers there are now.

        Raises:
            ClusterLost: nobody answers.
        """
        if self.client is None:
            self.executor()
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def close(self) -> None:
        """Leave; the cluster stays."""
        client, self.client = self.client, None
        if client is not None:
            # A connection that is broken cannot be closed in time.
            with suppress(OSError):
                client.close(timeout=1)


def knock(address: str) -> None:
    """See whether anybody listens; Dask itself would keep trying for a long time.

    Raises:
        OSError, ValueError: nobody does, or it is no address.
    """
    url = urlsplit(address)
    if url.scheme not in ("tcp", "tls") or url.hostname is None or url.port is None:
        raise ValueError("expected tcp://HOST:PORT")
    create_connection((url.hostname, url.port), CONNECT_SECONDS).close()


__all__ = ["Cluster", "ClusterLost", "spread_lasting"]
