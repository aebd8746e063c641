"""The bare loop and the runtime under trio do the same for the same choices."""

from __future__ import annotations

import trio

from actors.execute.steps import Execution
from actors.explore import RandomWalk, prepare
from actors.explore.scenarios import builtin
from actors.machine import Machine
from actors.runtime.bare import BareRuntime
from actors.runtime.controlled import ControlledRuntime

SEEDS = 200


def start(core, prepared):
    """Restore the machine on ``core`` and create the threads of the program."""
    machine = Machine.restore(core, prepared.snapshot)
    execution = Execution(machine, prepared.execution.bases)
    execution.processes = dict(prepared.execution.processes)
    execution.names = {actor: dict(fds) for actor, fds in prepared.execution.names.items()}
    outcomes = []

    async def thread(spec):
        for step in spec.steps:
            outcomes.append((spec.name, step.op, await execution.step(step, spec.actor, spec.cpu)))

    for spec in prepared.program.threads:
        core.spawn(machine.harness, thread(spec), spec.name)
    return machine, outcomes


def picture(core, machine, outcomes):
    """Everything that must be equal: the trace, what was returned, what is left."""
    trace = [f"{thread.name} {op!r}" for thread, op in core.log]
    mms = [a for a in core.actors.values() if a.kind == "mm"]
    left = [(mm.id, mm.locked_vm.value, sorted(mm.mm_count.holders), sorted(mm.regions)) for mm in mms]
    return trace, outcomes, left, dict(machine.memory.pins_by_holder), core.names


def bare(prepared, seed):
    walk = RandomWalk(seed)
    core = BareRuntime(walk, keep_log=True)
    walk.begin(core)
    machine, outcomes = start(core, prepared)
    core.run()
    return picture(core, machine, outcomes)


async def controlled(prepared, seed):
    walk = RandomWalk(seed)
    async with trio.open_nursery() as nursery:
        core = ControlledRuntime(nursery, walk, keep_log=True)
        walk.begin(core)
        machine, outcomes = start(core, prepared)
        await core.run()
        result = picture(core, machine, outcomes)
        nursery.cancel_scope.cancel()
    return result


async def test_same_choices_same_trace_same_state():
    prepared = prepare(builtin("map-vs-unregister"))
    for seed in range(SEEDS):
        assert bare(prepared, seed) == await controlled(prepared, seed)


async def test_also_where_processes_fork_and_die():
    prepared = prepare(builtin("kill-with-lazy-borrower"))
    for seed in range(25):
        assert bare(prepared, seed) == await controlled(prepared, seed)
