"""What logs cost: nothing when off, little in memory, and how fast they are written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from actors.execute.play.calls import Cursor
from actors.execute.play.session import Session
from actors.execute.play.tally import Tally
from actors.explore import Prepared
from actors.explore.arena import Arena
from actors.explore.scenarios import builtin
from actors.program import builtin_streams, load_stream
from actors.trace.jsonl import encode_all
from actors.trace.recorder import Recorder
from tests.benchmarks.harness import Pairs, at_least, at_most, figure, seconds

ROOT = Path(__file__).parents[2]
SCENARIO, CLIENT = "close-orders", "qemu-eeh"
ORDERS, CALLS = 100, 6_000
ROUNDS = 21


class Worker:
    """A process that runs orders on request; see :mod:`untraced`."""

    def __init__(self, *options: str) -> None:
        words = [sys.executable, "-m", "tests.benchmarks.untraced", *options]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def milliseconds(self, orders: int) -> float:
        """How long one order takes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(orders, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline()) / orders * 1e3


@contextmanager
def workers() -> Iterator[tuple[Worker, Worker]]:
    """One as it is, one that knows nothing of logs, both warm."""
    both = Worker(), Worker("--strip")
    try:
        for worker in both:
            worker.milliseconds(ORDERS)
        yield both
    finally:
        for worker in both:
            worker.process.communicate("")


@figure("logging off: an order of close-orders", "ms", "the same without the text of tracing", at_most(1.02))
def logging_off() -> Pairs:
    """Short turns, each pair there and back, so that a machine that is busier and busier slows both alike."""
    with workers() as (whole, stripped):
        for _ in range(3 * ROUNDS):
            turns = [worker.milliseconds(ORDERS // 4) for worker in (whole, stripped, stripped, whole)]
            yield (turns[0] + turns[3]) / 2, (turns[1] + turns[2]) / 2


class Dice:
    """A chooser that throws dice."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed).random

    def choose(self, label: str, options: int) -> int:
        return int(self.draw() * options)

    def pick(self, core: Any) -> Any:
        return core.ready[int(self.draw() * len(core.ready))]


def orders(prepared: Prepared, recorded: bool) -> None:
    """Run some orders."""
    for seed in range(ORDERS // 2):
        core = Arena(Dice(seed))
        if recorded:
            Recorder().attach(core)
        prepared.run(core)


@figure("recording in memory: an order of close-orders", "ms", "the same, not recorded", at_most(1.3))
def recording() -> Pairs:
    prepared = Prepared(builtin(SCENARIO))
    for recorded in (False, True):
        orders(prepared, recorded)
    each = ORDERS // 2 / 1e3
    for _ in range(ROUNDS):
        base = seconds(lambda: orders(prepared, False)) / each
        yield seconds(lambda: orders(prepared, True)) / each, base


def played(recorder: Recorder | None) -> float:
    """Play the first calls of a recorded client; seconds, without the boot."""
    stream = load_stream(builtin_streams()[CLIENT])
    session = Session.boot([stream], "v6.12", log=recorder)
    tally = Tally(session)
    return seconds(lambda: [tally.make(chunk) for chunk in Cursor(stream.program.setup).until(CALLS)])


@figure("recording in memory: a call of a recorded QEMU, where nobody judges", "µs", "the same, not recorded")
def recording_play() -> Pairs:
    for _ in range(7):
        base = played(None)
        yield played(Recorder()) / CALLS * 1e6, base / CALLS * 1e6


@figure("a full log in JSON, made of what was recorded", "events/s", target=at_least(50_000, "value"))
def writing() -> Pairs:
    for _ in range(5):
        recorder = Recorder()
        played(recorder)
        count = len(recorder)
        yield count / seconds(lambda recorder=recorder: encode_all(recorder.take())), None  # type: ignore[misc]
