"""Logs of recorded clients: playing one with a log, and playing again what a log tells of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from actors.execute.play import PlayResult, play, play_together
from actors.explore.logged import LogDivergence, both_texts
from actors.kernel.composition import Kernel
from actors.machine import MachineObserver
from actors.program import ProgramError, Stream, builtin_streams, load_stream, not_written
from actors.trace.follow import Follower
from actors.trace.header import digest_of, kernel_of
from actors.trace.logfile import LogFile
from actors.trace.schema import Clients, End, Header, Line
from actors.trace.text import end_text

Progress = Callable[[int], None]


def play_clients(
    streams: Sequence[Stream],
    kernel: Kernel,
    how: Clients,
    seed: int | None,
    log: MachineObserver,
    on_progress: Progress | None = None,
    blame: bool = True,
) -> tuple[PlayResult, ...]:
    """Play recorded clients as ``how`` says, and let ``log`` see all of it; one result a client.

    ``blame`` looks for the defects behind what is left, which takes plays of its own.

    Raises:
        ValueError: they do not fit on one machine, or are killed behind their end.
    """
    if how.together:
        return play_together(streams, kernel, seed or 0, blame=blame, log=log)
    end = {"kill_at": how.kill_at, "borrow": how.borrow}
    return (play(streams[0], kernel, seed=seed, blame=blame, on_progress=on_progress, log=log, **end),)  # type: ignore[arg-type]


def end_of_play(results: Sequence[PlayResult]) -> dict[str, Any]:
    """What the last line of a log says of a play."""
    first = results[0]
    left = "" if not first.final.anything else f"{first.final.pinned_pages:,} pages are left pinned"
    return {"verdict": first.verdict, "message": first.message or left}


def logged_play(
    streams: Sequence[Stream],
    kernel: Kernel,
    how: Clients,
    seed: int | None,
    path: str | Path,
    on_progress: Progress | None = None,
) -> tuple[PlayResult, ...]:
    """Play recorded clients and write a log of all that happens to a file, while it happens.

    Raises:
        ProgramError: the file cannot be written.
        ValueError: they do not fit on one machine, or are killed behind their end.
    """
    try:
        with Path(path).open("w", encoding="utf-8") as output:
            log = LogFile(output, name="+".join(how.streams), runtime="bare", clients=how, seed=seed)
            results = play_clients(streams, kernel, how, seed, log, on_progress)
            log.end = End(step=0, **end_of_play(results))
            log.close()
            return results
    except OSError as problem:
        raise not_written(path, problem) from None


def play_log(
    head: Header, lines: Iterator[Line], name: str, on_progress: Progress | None = None
) -> tuple[PlayResult, ...]:
    """Play again what a log tells of, and hold every event against it.

    Args:
        head: of the log.
        lines: of the log, after the header.
        name: of the log, for errors.
        on_progress: told how many calls have been made.

    Raises:
        ProgramError: a recording is not there, or is another one.
        UnknownPiece, Conflict: the kernel does not exist here.
        ReplayDivergence: something else happened.
    """
    how = head.clients
    assert how is not None
    streams = [stream_of(how, index, name) for index in range(len(how.streams))]
    follower = Follower(lines)
    try:
        results = play_clients(streams, kernel_of(head), how, head.seed, follower, on_progress, blame=False)
    except ValueError as problem:
        raise ProgramError(name, "line 1 clients", str(problem)) from None
    follower.close()
    if follower.difference is not None:
        step, recorded, actual = follower.difference
        raise LogDivergence(step, *both_texts(recorded, actual))
    if follower.end is not None:
        ended = End(step=len(follower), **end_of_play(results))
        if ended != follower.end:
            raise LogDivergence(ended.step, end_text(follower.end), end_text(ended))
    return results


def stream_of(how: Clients, index: int, name: str) -> Stream:
    """A recording that a log names.

    Raises:
        ProgramError: it is not there, or is another one.
    """
    called = how.streams[index]
    stream = load_stream(builtin_streams().get(called, called))
    if index < len(how.digests) and digest_of(stream) != how.digests[index]:
        wrong = f"{called} is not the recording that was played then"
        raise ProgramError(name, f"line 1 clients.digests[{index}]", wrong)
    return stream


__all__ = ["end_of_play", "logged_play", "play_clients", "play_log", "stream_of"]
