"""Work spread over processes that Ctrl-C ends at once, with what was found so far.

Each process gets a shelf of tasks and works on all of them, in whatever turns it likes; what it has
to say of each comes back through a pipe.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from actors.cli.exits import ExitCode, Told, interrupt, problem_of
from actors.explore.executors import interrupts_waiting, take_interrupts

T = TypeVar("T")
U = TypeVar("U")

PRELOADED = ["actors.cli.units"]
"""Imported once, before workers are forked, rather than by each."""

Work = Callable[[Sequence[tuple[int, T]]], Iterator[tuple[int, U]]]
"""Does numbered tasks and says things about them; interrupted it says what it has, then raises on."""


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def run_all(work: Work[T, U], tasks: Sequence[T], workers: int) -> Iterator[tuple[int, U | Told]]:
    """Do all the work, in this process where one is enough; what is said of tasks, as it comes.

    An interrupt ends what is running; what that came to is still yielded before the interrupt goes on.
    """
    numbered = list(enumerate(tasks))
    if min(workers, len(tasks)) <= 1:
        yield from work(numbered)
        return
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    running: dict[Connection, BaseProcess] = {}
    try:
        with interrupts_waiting():
            for worker in range(min(workers, len(tasks))):
                ours, theirs = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(
                    target=serve, args=(work, numbered[worker::workers], theirs), daemon=True
                )
                process.start()
                theirs.close()
                running[ours] = process
        yield from heard(running)
    except BaseException:
        for process in running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        yield from heard(running, stopped=True)
        raise


def heard(running: dict[Connection, BaseProcess], stopped: bool = False) -> Iterator[tuple[int, U | Told]]:
    """What workers say, until all have ended; those that were stopped may end as they like."""
    while running:
        for connection in wait(list(running)):
            assert isinstance(connection, Connection)
            try:
                said = connection.recv()
            except EOFError:
                process = running.pop(connection)
                process.join()
                if process.exitcode != 0 and not stopped:
                    yield -1, Told(ExitCode.EMULATOR, f"tcemu: a worker ended with {process.exitcode}", "")
            else:
                yield said


def serve(work: Work[T, U], shelf: Sequence[tuple[int, T]], out: Connection) -> None:
    """Be a worker: do the tasks of a shelf. Only the process that started it interrupts it."""
    os.setpgrp()
    try:
        take_interrupts(interrupt)
        for said in work(shelf):
            out.send(said)
    except KeyboardInterrupt:
        os._exit(ExitCode.INTERRUPTED)
    except Exception as error:
        with suppress(BrokenPipeError):
            out.send((-1, told(error)))


def told(error: BaseException) -> Told:
    """An error in a form that can be sent between processes."""
    code, line, _ = problem_of(error)
    return Told(code, line, traceback.format_exc())
