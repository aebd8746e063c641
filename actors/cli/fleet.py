"""Work spread over processes that Ctrl-C ends at once, with what was found so far."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import active_children, get_context
from typing import TypeVar

from actors.cli.exits import Told, interrupt, problem_of

T = TypeVar("T")
U = TypeVar("U")


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def run_all(work: Callable[[T], U], tasks: Sequence[T], workers: int) -> Iterator[tuple[int, U | Told]]:
    """Do all the work, in this process where one is enough; outcomes as they come, with their index.

    A task that fails has its error for an outcome. An interrupt ends what is running; what that came
    to is still yielded before the interrupt goes on.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from ((index, judged(work, task)) for index, task in enumerate(tasks))
        return
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, context, initializer=ignore_interrupts) as pool:
        do = partial(interruptible, work)
        futures = {pool.submit(do, task): index for index, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            yield from stopped(futures)
            raise


def stopped(futures: dict[Future[U], int]) -> Iterator[tuple[int, U]]:
    """Stop all work; outcomes of what was running, cut short."""
    running = [future for future in futures if not future.done() and not future.cancel()]
    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
    for future in as_completed(running):
        if future.exception() is None:
            yield futures[future], future.result()


def ignore_interrupts() -> None:
    """Be a worker: an interrupt concerns only work that is being done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interruptible(work: Callable[[T], U], task: T) -> U | Told:
    """Do one task in a worker."""
    signal.signal(signal.SIGINT, interrupt)
    try:
        return judged(work, task)
    except KeyboardInterrupt as stop:
        return told(stop)
    finally:
        ignore_interrupts()


def judged(work: Callable[[T], U], task: T) -> U | Told:
    """Do one task; an error is an outcome too."""
    try:
        return work(task)
    except Exception as error:
        return told(error)


def told(error: BaseException) -> Told:
    """An error in a form that can be sent between processes."""
    code, line, _ = problem_of(error)
    return Told(code, line, traceback.format_exc())
