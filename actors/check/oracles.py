"""All oracles of one machine, and when each is asked.

Everything is read without a scheduling point, so that watching changes nothing. Most invariants hold only
when no operation is in the middle, that is when every thread stands outside the machine; the few that hold
always are judged by hooks, at the access itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from actors.check.accounting import judge_accounting
from actors.check.devices import Devices
from actors.check.dirty import Dirty
from actors.check.lifetime import judge_lifetime
from actors.check.lockdep import Lockdep
from actors.check.mappings import Mappings
from actors.check.pins import Pins
from actors.check.quiescence import judge_quiescence
from actors.check.races import RaceDetector
from actors.check.regions import judge_regions
from actors.check.release import Release
from actors.check.returns import Returns
from actors.check.state import state_of
from actors.check.view import View
from actors.check.violation import Violation
from actors.check.windows import Windows
from actors.kernel import uapi
from actors.kernel.messages import Close, ContainerIoctl, Exec, ExitGroup, Ioctl, Kill, MmIommuFree
from actors.runtime.errors import KernelOops
from actors.runtime.ops import Call

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.messages import Request
    from actors.runtime.thread import Thread

WARNED = {
    "account_locked_vm": "J-L3",
    "tce_iommu_create_default_window": "J-W2",
    "tce_iommu_release": "J-Q1",
    "destroy_context": "J-M3",
}
"""Function that warns -> the invariant that it warns of."""

CLOSING = frozenset({Close, Exec, ExitGroup, Kill})
"""Requests, besides ioctls, that may end a container or take a group from it."""

HARMLESS = frozenset({"unset_window"})
"""Functions whose misuse costs a firmware call and no more, so that it is only noted."""


class Oracles:
    """Whoever looks at a machine while it runs.

    The machine is at rest when the oracles are attached: what is there then is taken as it is. Detach
    them before the machine is copied.

    Args:
        machine: what to look at.
        races: also look for data races; costs about as much as the run itself.
        fatal: a breach that is only noted ends the run all the same when its line begins so; "" for none.

    Attributes:
        violations: breaches that end a run, oldest first.
        findings: breaches that are only noted, oldest first, each once.
    """

    def __init__(self, machine: Machine, *, races: bool = False, fatal: str = "") -> None:
        self.machine = machine
        self.fatal = fatal
        self.violations: list[Violation] = []
        self.findings: list[Violation] = []
        self.view = View(machine)
        self._mappings = Mappings(self.view)
        self._pins = Pins(self.view)
        self._windows = Windows(self.view)
        self._dirty = Dirty(self.view)
        self._devices = Devices(self.view)
        self._returns = Returns(self.view)
        self._release = Release(self.view, self._found)
        self._lockdep = Lockdep(self._found)
        self._races = RaceDetector(self._found) if races else None
        self._entered: list[type] = []
        self._reached: dict[int, tuple[str, int]] = {}
        self._complaints = 0, 0
        self._due = True
        self._state = state_of(self.view)
        self._fresh = True
        self.attach()

    # -- hooks ---------------------------------------------------------------------------------

    def attach(self) -> None:
        """Listen to the machine."""
        core, machine = self.machine.core, self.machine
        core.lock_watch = self._lockdep.about_to_take
        core.call_watch = self._served
        core.on_oops = self._oopsed
        machine.on_reply = self.system_call
        machine.world.on_return = self._note_return
        machine.world.on_dma = self._note_dma
        if core.controlled:
            # Where threads run on their own nothing may ever be at rest, so nobody would look at the frames.
            machine.memory.on_allocate = self._dirty.allocated
        if self._races is not None:
            self._races.attach(core)

    def detach(self) -> None:
        """Listen no longer."""
        core, machine = self.machine.core, self.machine
        core.lock_watch = core.call_watch = core.on_oops = None
        machine.on_reply = machine.world.on_return = machine.world.on_dma = machine.memory.on_allocate = None
        if self._races is not None:
            self._races.detach(core)

    def _served(self, thread: Thread, call: Call) -> None:
        """A request begins to be served."""
        request = call.request.__class__
        if thread.daemon or len(thread.frames) == 1:
            self._entered.append(request)
            if request is MmIommuFree:
                self._due = True
        if isinstance(call.request, ContainerIoctl):
            self._reached[thread.index] = call.target, call.request.cmd
        self._release.message(thread, call)

    def _oopsed(self, thread: Thread, problem: KernelOops) -> None:
        self._found(Violation(problem.invariant, f"{problem} (thread {thread.name})", "oops"))

    def _note_return(self) -> None:
        self.returned()

    def _note_dma(self) -> None:
        self._due = True

    def returned(self) -> Violation | None:
        """Judge at the end of a system call, from the hook ``world.on_return``.

        Returns:
            What ends the run, None when nothing does.
        """
        thread = self.machine.core.current
        self._due = True
        if thread.held or thread.rcu_nesting:
            for violation in self._lockdep.returned(thread):
                self._found(violation)
        return self.violations[0] if self.violations else None

    def system_call(self, target: str, request: Request[Any], ret: Any) -> None:
        """Judge an answer to a request from outside: J-A1 now, the rest when nothing is in the middle."""
        self._due = True
        if isinstance(request, Ioctl):
            reached, _ = self._reached.pop(self.machine.core.current.index, ("", 0))
            finding = self._returns.answered(target, request, ret, reached)
            if finding is not None:
                self._found(finding)
            if request.cmd == uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY and ret == 0:
                self._registered()

    def _registered(self) -> None:
        """A REGISTER has succeeded: its container may be enabled from now on."""
        reply = self._returns.replies[-1]
        self.view.look()
        for driver in self.view.drivers:
            if driver.actor.id == reply.container:
                self._windows.enabled.add(driver.data.name)

    def _found(self, violation: Violation) -> None:
        if not violation.recorded or (self.fatal and str(violation).startswith(self.fatal)):
            self.violations.append(violation)
        elif violation not in self.findings:
            self.findings.append(violation)

    # -- judging -------------------------------------------------------------------------------

    def resting(self) -> bool:
        """Whether no operation is in the middle: every thread stands outside the machine."""
        if self.machine.world.in_kernel:
            return False
        return all(len(thread.frames) <= 1 for thread in self.machine.core.threads.values())

    def step(self) -> Violation | None:
        """Judge after a scheduling step: cheap unless something has ended in it.

        Returns:
            What ends the run, None when nothing does.
        """
        if self._due:
            self._due = False
            for violation in self._devices.judge_accesses():
                self._found(violation)
            if not self.violations and self.resting():
                self.at_rest()
        return self.violations[0] if self.violations else None

    def at_rest(self) -> list[Violation]:
        """Judge the step invariants; no operation may be in the middle.

        Returns:
            Everything that ends the run so far.
        """
        view, entered = self.view, self._entered
        self._entered, self._due = [], False
        view.look()
        before, self._state = self._state, state_of(view)
        for violation in self._devices.judge_accesses():
            self._found(violation)
        if self._fresh or self._state != before or self._complained():
            self._fresh = False
            for violation in list(self._step_invariants()):
                self._found(violation)
        alone = len(entered) == 1 or not self.machine.core.controlled
        together = bool(entered) and not any(request in CLOSING for request in entered)
        if self._returns.replies:
            for violation in list(self._returns.judge(alone, together, before, self._state)):
                self._found(violation)
        self._returns.remember()
        return self.violations

    def _complained(self) -> bool:
        world = self.machine.world
        return self._complaints != (len(world.misuses), len(world.warnings))

    def _step_invariants(self) -> Iterator[Violation]:
        """Everything that holds when nothing is in the middle; what is most telling comes first."""
        view = self.view
        self._unheard()
        yield from self._misuses()
        yield from chain(self._mappings.judge(), judge_regions(view, self._mappings.counts))
        yield from chain(
            judge_lifetime(view), self._pins.judge(), judge_accounting(view), self._windows.judge()
        )
        yield from self._devices.judge_caches()
        if self.machine.core.controlled:
            yield from self._dirty.judge()
        yield from self._warnings()

    def _unheard(self) -> None:
        """A REGISTER whose caller was killed may have succeeded: nobody was left to be told."""
        for container, cmd in self._reached.values():
            if cmd == uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY:
                names = [driver.data.name for driver in self.view.drivers if driver.actor.id == container]
                self._windows.enabled.update(names)

    def _misuses(self) -> Iterator[Violation]:
        """What the model noticed by itself."""
        world = self.machine.world
        for invariant, message, place in world.misuses[self._complaints[0] :]:
            yield Violation(invariant, f"{message} (in {place})", recorded=place in HARMLESS)
        self._complaints = len(world.misuses), self._complaints[1]

    def _warnings(self) -> Iterator[Violation]:
        """What the modelled kernel warned of."""
        world = self.machine.world
        for message, place in world.warnings[self._complaints[1] :]:
            yield Violation(WARNED.get(place, ""), f"{message} (WARN in {place})", "warning")
        self._complaints = self._complaints[0], len(world.warnings)

    def quiescent(self, *, final: bool) -> list[Violation]:
        """Judge when nothing is in flight, not even a callback; ``final``: nothing comes after.

        Returns:
            Everything that ends the run so far.
        """
        if not self.violations and self.resting():
            self.at_rest()
            if not self.violations:
                for violation in judge_quiescence(self.view, self._mappings.counts, final):
                    self._found(violation)
        return self.violations


__all__ = ["Oracles"]
