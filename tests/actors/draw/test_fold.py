"""The state at every step, held against the machine itself."""

from __future__ import annotations

import random

import pytest

from actors.draw.fold import LIFE, Fold
from actors.draw.initial import ABOUT, told
from actors.explore import Prepared
from actors.explore.arena import Arena
from actors.explore.scenarios import builtin
from actors.machine import open_machine
from actors.trace import schema as s
from actors.trace.observe import observe
from actors.trace.recorder import Recorder


class Dice:
    """A chooser that throws dice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def choose(self, label, options):
        return self.random.randrange(options)

    def pick(self, core):
        return self.random.choice(core.ready)


def folded(events):
    fold = Fold(events)
    for event in events:
        fold.feed(event)
    return fold


def plain(value):
    """A value for comparing: who held a reference before the log began has no name in it."""
    if isinstance(value, dict):
        return sum(value.values())
    return frozenset(value) if isinstance(value, tuple) else value


def assert_same(recorder, core):
    """What the log says of the state is what the machine is in."""
    fold = folded(recorder.events())
    now = s.State(step=1 << 40, thread="", actor="", **observe(core)._asdict())
    checked = 0
    for name, part, value in told(now):
        if part != ABOUT and value not in (None, (), {}):
            assert (name, part, plain(fold.values.get((name, part)))) == (name, part, plain(value))
            checked += 1
    return checked


@pytest.mark.parametrize("name", ["map-vs-unregister", "exit-with-lazy-borrower", "map-vs-remove"])
@pytest.mark.parametrize("kernel", ["v4.9", "v6.12", "fixed"])
def test_the_state_at_the_end_is_that_of_the_machine(name, kernel):
    prepared, checked = Prepared(builtin(name), kernel), 0
    for seed in range(4):
        recorder, core = Recorder(), Arena(Dice(seed))
        recorder.attach(core)
        prepared.run(core)
        checked += assert_same(recorder, core)
    assert checked > 8


async def test_what_begins_during_the_run_is_known_too():
    recorder = Recorder()
    async with open_machine(kernel="v4.9", log=recorder) as machine:
        qemu = await machine.spawn("qemu")
        ram = await qemu.mmap(1 << 20)
        container = await qemu.open_container()
        group = await qemu.open_group(0)
        await group.set_container(container)
        await container.set_iommu(7)
        await container.register_memory(ram)
        await container.map_dma(iova=0, vaddr=ram.start, size=1 << 18)
        await container.unmap_dma(iova=0, size=1 << 16)
        assert assert_same(recorder, machine.core) > 20
        values = folded(recorder.events()).values
        assert values["table:0", "set"] == "48"
        assert values["table:0", ABOUT].startswith("bus 0, 524,288 entries of 4 KiB")
        assert values["region:0", ABOUT].endswith(", 16 pages")
        await qemu.exit()
        await machine.rcu_barrier()
        values = folded(recorder.events()).values
        assert values["region:0", LIFE] == values["table:0", LIFE] == values["container:0", LIFE] == "freed"


def test_patches_lead_back_to_where_they_began(log):
    fold, made = Fold(log.events), []
    for event in log.events:
        made += fold.feed(event)
    for key, old, new in reversed(made):
        assert fold.values[key] == new
        fold.values[key] = old
    assert not any(fold.values.values())


def test_a_reference_is_known_by_its_holder(log):
    fold, seen = Fold(log.events), []
    for event in log.events:
        fold.feed(event)
        seen.append(fold.values.get(("mm:0", "mm_count")))
    assert {"users": 1, "cpu:1": 1} in seen
    assert seen[-1] == {"cpu:1": 1}


def test_locks_are_held_and_waited_for(deadlock):
    values = folded(deadlock.events).values
    assert values["mem_list_mutex", "held by"] == ("closer",)
    assert values["mem_list_mutex", "waited for by"] == ("mapper",)


def test_a_cpu_runs_the_task_once_it_has_switched(log):
    fold = Fold(log.events)
    switched = [
        event.step for event in log.events if isinstance(event, s.Reply) and event.request == "context_switch"
    ]
    ran = {}
    for event in log.events:
        fold.feed(event)
        ran[event.step] = fold.values.get(("cpu:1", "running"))
    assert ran[switched[0] - 1] == "idle"
    assert ran[switched[0]] == "process:0"
    assert ran[switched[1]] == "kthread:kworker/1:0"


WEIRD = [None, True, -1, 1 << 64, 1.5, "text", [], [1, 2, 3], [None, None], {"a": [1]}, {"b": None}]


@pytest.mark.parametrize("value", WEIRD)
@pytest.mark.parametrize("kind", ["field", "counter", "reference", "list", "slot", "rcu", "nonsense"])
def test_values_that_no_kernel_has_are_taken_as_they_come(script, kind, value):
    odd = {"object": "mm:0", "kind": kind, "write": True, "facts": {"ua": value, "page_shift": value}}
    for before, after in ((value, 1), (1, value), (value, value)):
        for field in ("", "mapped", "mm_count", "[0x1]", "iommu_group_mem_list", "freed", "iommu_data"):
            script.add(s.Access, "t", field=field, before=before, after=after, **odd)
    folded(script.events)


NAMES = [
    "mm_users", "windows", "tce_container", "groups", "entries", "ua", "page_shift", "kind", "f_count",
    "kref", "slot", "set", "mm", "prereg_list", "comm", "start", "actor",
]  # fmt: skip


@pytest.mark.parametrize("value", WEIRD)
def test_a_first_state_of_any_shape_is_taken_as_it_comes(script, value):
    odd = dict.fromkeys(NAMES, value)
    inner = odd | {"tce_container": "x", "windows": {"table:0": odd, "table:1": value}}
    state = {name: {name: odd} for name in ("mms", "regions", "groups", "files", "cpus")}
    state["containers"] = {"a": odd, "b": inner}
    script.add(s.State, "t", locks={"l/read": ("t",)}, **state)
    slot = {"object": "table:0", "field": "[0x0]", "kind": "slot", "write": True}
    script.add(s.Access, "t", before=[0, 0], after=[1, 3], **slot)
    folded(script.events)
