"""One small model, searched by us and by others: register, unregister and teardown under one lock.

Each peer gets the model in its own terms: the same accesses, a chance to switch at each. Those that are not
installed are left out, with a word (``pip install -e '.[bench]'``; SPIN needs a C compiler beside it).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actors.explore import Dpor, RandomWalk
from actors.explore.arena import Arena
from actors.explore.explore import Campaign
from actors.explore.strategies import Stateful
from actors.runtime.actor import Actor
from actors.runtime.cells import Cell, Counter
from actors.runtime.sync import Mutex
from tests.actors.explore.toy_model import ToyModel
from tests.benchmarks.harness import Pairs, at_least, figure, seconds

ROUNDS = 5
OURS = 2_000


def ours(of_each: int = 1) -> ToyModel:
    """The model on the bare loop."""

    def build(core: Arena) -> Callable[[], str]:
        box, lock = Actor(core), Mutex(core, "lock")
        listed, used = Counter(core, "m.listed"), Counter(core, "m.used")
        closed = Cell(core, "m.closed", False)

        async def register() -> None:
            async with lock:
                if not await closed.get():
                    await listed.add(1)
                    await used.add(1)

        async def unregister() -> None:
            async with lock:
                if await used.get():
                    await used.add(-1)
                    await listed.add(-1)

        async def teardown() -> None:
            async with lock:
                await closed.set(True)
                await listed.add(-listed.value)
                await used.add(-used.value)

        for number in range(of_each):
            for body in (register, unregister, teardown):
                core.spawn(box, body(), f"{body.__name__}{number}")
        return lambda: "something is left" if listed.value or used.value else ""

    return ToyModel(build, "teardown")


class Plain:
    """The model's state for the others."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.listed = self.used = 0
        self.closed = False

    def check(self) -> bool:
        return not self.listed and not self.used


async def register(state: Plain) -> None:
    async with state.lock:
        await asyncio.sleep(0)
        if not state.closed:
            await asyncio.sleep(0)
            state.listed += 1
            await asyncio.sleep(0)
            state.used += 1


async def unregister(state: Plain) -> None:
    async with state.lock:
        await asyncio.sleep(0)
        if state.used:
            await asyncio.sleep(0)
            state.used -= 1
            await asyncio.sleep(0)
            state.listed -= 1


async def teardown(state: Plain) -> None:
    async with state.lock:
        await asyncio.sleep(0)
        state.closed = True
        await asyncio.sleep(0)
        state.listed = 0
        await asyncio.sleep(0)
        state.used = 0


async def all_three() -> None:
    state = Plain(asyncio.Lock())
    await asyncio.gather(register(state), unregister(state), teardown(state))
    assert state.check()


def our_orders() -> float:
    """Random orders a second."""
    campaign = Campaign(ours(), RandomWalk(1))
    return OURS / seconds(lambda: campaign.run(schedules=OURS))


def our_classes() -> float:
    """Classes of orders a second, the whole search again and again."""
    rounds = 100
    return rounds * 6 / seconds(lambda: [Campaign(ours(), Dpor()).run() for _ in range(rounds)])


def installed(package: str) -> bool:
    """Whether a peer is there; a word when it is not."""
    there = find_spec(package) is not None
    if not there:
        print(f"  left out: {package} is not installed", file=sys.stderr)
    return there


if installed("detangle"):

    @figure(
        "register, unregister, teardown under a lock: random orders", "orders/s",
        "detangle, the same on asyncio", at_least(10),
    )  # fmt: skip
    def beside_detangle() -> Pairs:
        import detangle

        runs = 300
        for _ in range(ROUNDS):
            took = seconds(lambda: detangle.explore(all_three, runs=runs, strategy="random", database=False))
            yield our_orders(), runs / took


if installed("frontrun"):

    @figure(
        "register, unregister, teardown under a lock: every class of orders", "orders/s",
        "frontrun, DPOR over threads", at_least(10),
    )  # fmt: skip
    def beside_frontrun() -> Pairs:
        for _ in range(ROUNDS):
            frontrun = Path(sys.executable).with_name("frontrun")
            search = [frontrun, sys.executable, "-m", "tests.benchmarks.threads"]
            told = subprocess.run(search, check=True, capture_output=True, text=True).stdout
            yield our_classes(), float(told.split()[-1])


def verifier(folder: Path, of_each: int) -> Path:
    """SPIN's verifier of the model with ``of_each`` threads of each kind."""
    model = Path(__file__).with_name("teardown.pml")
    for command in (
        ["spin", f"-DN={of_each}", "-a", str(model)],
        ["cc", "-O2", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "pan"


def spin_states(pan: Path) -> float:
    """States that a verifier stores in a second."""
    told: list[str] = []
    took = seconds(
        lambda: told.append(
            subprocess.run(
                [pan, "-m100000"], cwd=pan.parent, check=True, capture_output=True, text=True
            ).stdout
        )
    )
    line = next(line for line in told[0].splitlines() if "states, stored" in line)
    return float(line.split()[0]) / took


def our_states(of_each: int) -> float:
    """States a second of the stateful search; each is reached by running an order from the start."""
    stateful = Stateful()
    took = seconds(lambda: Campaign(ours(of_each), stateful).run(schedules=100_000))
    return len(stateful.states) / took


if shutil.which("spin") and shutil.which("cc"):

    @figure("the same model, two of each: states of the stateful search", "states/s", "SPIN, three of each")
    def beside_spin() -> Pairs:
        with tempfile.TemporaryDirectory() as folder:
            pan = verifier(Path(folder), 3)
            for _ in range(ROUNDS):
                yield our_states(2), spin_states(pan)
else:
    print("  left out: spin, which needs a C compiler beside it", file=sys.stderr)
