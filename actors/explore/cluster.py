"""A Dask cluster that somebody else has started, as a pool of workers."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import chdir, suppress
from functools import partial
from importlib import import_module
from socket import create_connection
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from actors.explore.executors import ClusterLost, Lost, Pool
from actors.trace.header import emulator_version

T = TypeVar("T")
U = TypeVar("U")

CONNECT_SECONDS = 10

ALONE = Lock()
"""A worker with several threads does one unit at a time: units share the interpreter and the folder."""


class Sent(NamedTuple):
    """What a worker sends back.

    Attributes:
        version: of the emulator over there.
        outcome: of the unit.
        problem: what was raised instead.
    """

    version: str
    outcome: Any = None
    problem: Exception | None = None


class Cluster(Pool):
    """The workers of a cluster; whoever is free does what is next.

    Args:
        address: of its scheduler, such as ``tcp://10.0.0.1:8786``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client: Any = None

    def executor(self) -> Executor:
        """An executor of the connection that there is, or of a new one.

        Raises:
            ClusterLost: nobody answers there, or dask is not installed here.
        """
        if self.client is None:
            self.client = connect(self.address)
        return Handing(self.client)

    def workers(self) -> int:
        """How many workers there are now.

        Raises:
            ClusterLost: nobody answers.
        """
        self.executor()
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def check(self) -> None:
        """See whether there are workers, and all have an emulator: without one they end at the first unit.

        Raises:
            ClusterLost: that is not so, or nobody answers.
        """
        self.executor()
        answers = self.client.run(emulator_version, on_error="return")
        if not answers:
            raise ClusterLost(f"the cluster at {self.address} has no workers")
        if not all(isinstance(answer, str) for answer in answers.values()):
            raise self.without_tcemu("worker")

    def at_work(self) -> bool:
        """Whether a worker does anything, be it for somebody else.

        Raises:
            ClusterLost: there are no workers.
        """
        try:
            self.check()
            return any(self.client.processing().values())
        except OSError:
            return False

    def without_tcemu(self, who: str) -> ClusterLost:
        """Somebody over there cannot do the work."""
        return ClusterLost(f"{self.address} has a {who} without tcemu {emulator_version()}")

    def close(self) -> None:
        """Leave; the cluster stays."""
        client, self.client = self.client, None
        if client is not None:
            # A connection that is broken cannot be closed in time.
            with suppress(OSError):
                client.close(timeout=1)

    def spread(self, work: Callable[[T], U], units: Sequence[T]) -> Iterator[tuple[int, U | Lost]]:
        """The same, done over there.

        Units travel pickled, so that the scheduler need not have what only this end and workers need.

        Raises:
            ClusterLost: nobody does it, or a worker is not fit for it.
            whatever ``work`` raises.
        """
        try:
            for index, sent in super().spread(partial(done_here, work), list(map(pickle.dumps, units))):
                yield index, sent if isinstance(sent, Lost) else self.unpacked(sent)
        except RuntimeError as problem:
            if not str(problem).startswith("Error during deserialization"):
                raise
            raise self.without_tcemu("scheduler") from None

    def unpacked(self, sent: Sent) -> Any:
        """What a worker has sent.

        Raises:
            ClusterLost: it has another emulator, with which anything could come out.
            whatever the work has raised over there.
        """
        if sent.version != emulator_version():
            raise ClusterLost(
                f"{self.address} has a worker with tcemu {sent.version}, here is {emulator_version()}"
            )
        if sent.problem is not None:
            raise sent.problem
        return sent.outcome


class Handing(Executor):
    """Hands work to a cluster.

    Dask's own executor never tells of an outcome that was lost while it was fetched.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand out one call; cancelled, it is taken back unless it runs already."""
        task = self.client.submit(fn, *args, pure=False, **kwargs)
        answer: Future[Any] = Future()
        loop = self.client.loop
        answer.add_done_callback(lambda ended: loop.add_callback(task.cancel) if ended.cancelled() else None)
        loop.add_callback(deliver, task, answer)
        return answer


async def deliver(task: Any, answer: Future[Any]) -> None:
    """Wait for a task, and tell what it came to, whatever happens."""
    outcome: Any = None
    problem: Exception | None = None
    try:
        outcome = await task
    except (OSError, asyncio.CancelledError) as error:
        # What the work raises travels as an outcome, so this is the connection's.
        problem = CancelledError(str(error))
    except Exception as error:
        problem = error
    if not answer.set_running_or_notify_cancel():
        return
    if problem is None:
        answer.set_result(outcome)
    else:
        answer.set_exception(problem)


def done_here(work: Callable[[T], U], packed: bytes) -> Sent:
    """Be a worker: do one unit, in a folder of its own."""
    with ALONE, TemporaryDirectory(prefix="tcemu-") as folder, chdir(folder):
        try:
            return Sent(emulator_version(), work(pickle.loads(packed)))
        except Exception as problem:
            return Sent(emulator_version(), problem=problem)


def connect(address: str) -> Any:
    """A connection to the scheduler there; what happens to it is for the caller to tell, not for Dask.

    Raises:
        ClusterLost: nobody answers, or dask is not installed here.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise ClusterLost("dask is not installed; pip install 'tcemu[cluster]'") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        knock(address)
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as problem:
        reason = str(problem).partition("\n")[0]
        raise ClusterLost(f"no Dask scheduler at {address}: {reason}") from None


def knock(address: str) -> None:
    """See whether anybody listens; Dask itself would keep trying for a long time.

    Raises:
        OSError, ValueError: nobody does, or it is no address.
    """
    url = urlsplit(address)
    if url.scheme not in ("tcp", "tls") or url.hostname is None or url.port is None:
        raise ValueError("expected tcp://HOST:PORT")
    create_connection((url.hostname, url.port), CONNECT_SECONDS).close()


__all__ = ["Cluster"]
