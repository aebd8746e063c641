"""Work spread over any executor, even one whose workers or connection are lost on the way.

A unit of work is a value, and its outcome depends on nothing else. So what is lost with a worker or a
connection is simply done again, and an outcome that arrives twice is counted once.
"""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from enum import Enum
from functools import partial
from multiprocessing import active_children, get_context, parent_process, resource_tracker
from threading import Thread
from time import sleep
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
U = TypeVar("U")

ATTEMPTS = 5
"""How often in a row work is handed out without a single outcome before that is given up."""

TOGETHER = 2
"""How often a unit may lose its worker beside others, any of which may be the cause, before it runs alone."""

PATIENCE_SECONDS = 60
"""After so long without an outcome one looks whether any worker is left."""


class ClusterLost(Exception):
    """Workers cannot be reached, are not fit for the work, or lose all that they are given."""


class Lost(msgspec.Struct, frozen=True):
    """The outcome of a unit that has ended every worker that tried it, or that failed by itself."""

    reason: str


class Loss(Enum):
    """Why there is no outcome, though nothing is wrong with the work."""

    CONNECTION = "it was never begun, or the outcome never arrived"
    WORKER = "a worker died, and nobody knows of which of the units that ran"
    UNIT = "one worker after the other has died of this unit"


def loss_of(error: BaseException | None) -> Loss | None:
    """What an error says was lost; None when it is an error of the work, or none at all."""
    if isinstance(error, BrokenExecutor):
        return Loss.WORKER
    if isinstance(error, CancelledError):
        return Loss.CONNECTION
    if type(error).__module__.partition(".")[0] != "distributed":
        return None
    return Loss.UNIT if type(error).__name__ == "KilledWorker" else Loss.CONNECTION


class Pool(ABC):
    """Workers, here or elsewhere, and others in their place when they are lost.

    Attributes:
        deaths: how often workers are known to have died.
    """

    deaths = 0

    @abstractmethod
    def executor(self) -> Executor:
        """The executor that hands out work; after :meth:`close` another one.

        Raises:
            ClusterLost: nobody answers.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the executor; work that is running may go on to its end."""

    def stop(self) -> None:
        """Let go of the executor now, whatever is running."""
        self.close()

    @abstractmethod
    def at_work(self) -> bool:
        """Whether anybody does anything; asked when no outcome has come for long.

        Raises:
            ClusterLost: nobody is left.
        """

    def spread(self, work: Callable[[T], U], units: Sequence[T]) -> Iterator[tuple[int, U | Lost]]:
        """Apply ``work`` to every unit; outcomes as they come, each once, with the index of its unit.

        Args:
            work: a function that other processes can import.
            units: what to apply it to.

        Raises:
            ClusterLost: nobody does it, however often it is handed out.
            whatever ``work`` raises.
        """
        return Rounds(self, work, units).run()


class Made(Pool):
    """Executors that a function makes, such as ``lambda: ThreadPoolExecutor(2)``."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self.make = make
        self.made: Executor | None = None

    def executor(self) -> Executor:
        """The one that was made, or the next one."""
        if self.made is None:
            self.made = self.make()
        return self.made

    def at_work(self) -> bool:
        """They are: an executor here tells by itself when its workers have died."""
        return True

    def close(self) -> None:
        """End its workers when they have ended what they do."""
        made, self.made = self.made, None
        if made is not None:
            made.shutdown(wait=True, cancel_futures=True)


class Processes(Made):
    """Processes on this machine, whom only the one that started them interrupts."""

    def __init__(self, workers: int) -> None:
        context = get_context("forkserver")
        super().__init__(lambda: ProcessPoolExecutor(workers, mp_context=context, initializer=serve))

    def stop(self) -> None:
        """End them, whatever they are doing."""
        if self.made is not None:
            for child in active_children():
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGTERM)
        self.close()


@contextmanager
def interrupts_waiting() -> Iterator[None]:
    """Keep interrupts waiting while processes are started, here and in those that are started.

    These begin with imports, and would end in the middle of them, with a traceback on the terminal. Each
    calls :func:`take_interrupts` as soon as it is ready for one.
    """
    # It would let interrupts through after it has started a process of its own.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_interrupts(handler: Any) -> None:
    """Deal with interrupts as ``handler`` does from now on, one that is waiting included."""
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def serve() -> None:
    """Be a worker: an interrupt from the terminal is for the campaign to deal with, its death is not."""
    take_interrupts(signal.SIG_IGN)
    Thread(target=end_with_parent, name="end_with_parent", daemon=True).start()


def end_with_parent() -> None:
    """End this process when the one that gave it work has ended, however that was."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Rounds:
    """Units that are handed out round after round, until each has an outcome.

    Attributes:
        left: the units without one, by index.
        deaths: how often each has lost its worker.
    """

    def __init__(self, pool: Pool, work: Callable[[Any], Any], units: Sequence[Any]) -> None:
        self.pool = pool
        self.work = work
        self.left = dict(enumerate(units))
        self.deaths: Counter[int] = Counter()

    def run(self) -> Iterator[tuple[int, Any]]:
        """All outcomes, as they come.

        Raises:
            ClusterLost: several rounds in a row came to nothing.
        """
        count, fruitless, connect = len(self.left), 0, self.pool.executor
        while self.left:
            before = len(self.left), self.deaths.total()
            yield from self.round(connect())
            fruitless = fruitless + 1 if before == (len(self.left), self.deaths.total()) else 0
            if fruitless == ATTEMPTS:
                raise ClusterLost(f"{len(self.left)} of {count} units were lost {ATTEMPTS} times in a row")
            connect = partial(again, self.pool)

    def round(self, executor: Executor) -> Iterator[tuple[int, Any]]:
        """Hand out all that is left, or alone what may end its workers; the outcomes of what is not lost."""
        alone = next((index for index in self.left if self.deaths[index] >= TOGETHER), None)
        losses: set[Loss] = set()
        for index, outcome in self.handed_out(executor, list(self.left) if alone is None else [alone]):
            if isinstance(outcome, Loss):
                losses.add(outcome)
                self.deaths[index] += outcome is Loss.WORKER
            fatal = outcome is Loss.UNIT or (outcome is Loss.WORKER and index == alone)
            if fatal or not isinstance(outcome, Loss):
                del self.left[index]
                yield index, Lost("every worker that ran it has died") if fatal else outcome
        self.pool.deaths += bool(losses - {Loss.CONNECTION})
        if losses - {Loss.UNIT}:
            self.pool.close()

    def handed_out(self, executor: Executor, indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Hand units out; of each what it came to, or how that was lost."""
        futures: dict[Future[Any], int] = {}
        try:
            for index in indices:
                try:
                    with interrupts_waiting():
                        futures[executor.submit(self.work, self.left[index])] = index
                except Exception as problem:
                    if loss_of(problem) is None:
                        raise
                    yield index, Loss.CONNECTION
            for future in self.finished(set(futures)):
                loss = Loss.CONNECTION if future.cancelled() else loss_of(future.exception())
                yield futures[future], future.result() if loss is None else loss
        finally:
            for future in futures:
                future.cancel()

    def finished(self, waiting: set[Future[Any]]) -> Iterator[Future[Any]]:
        """The futures as they finish; those that nobody works on any more end cancelled."""
        while waiting:
            done, waiting = wait(waiting, PATIENCE_SECONDS, FIRST_COMPLETED)
            if not done and not self.pool.at_work():
                done, waiting = waiting, set()
                for future in done:
                    future.cancel()
            yield from done


def again(pool: Pool) -> Executor:
    """The executor of a pool that was lost before: it may need a moment.

    Raises:
        ClusterLost: it does not come back.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return pool.executor()
        except ClusterLost:
            sleep(attempt)
    return pool.executor()


__all__ = [
    "ClusterLost", "Loss", "Lost", "Made", "Pool", "Processes", "interrupts_waiting", "loss_of",
    "take_interrupts",
]  # fmt: skip
