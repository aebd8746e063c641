"""J-Q5, J-T5, J-W1: the order of a teardown, seen in the messages at the moment they begin to be served."""

from __future__ import annotations

from collections.abc import Callable

from actors.check.view import Driver, View, counted
from actors.check.violation import Violation
from actors.kernel.messages import Mmdrop, MmIommuForsake, MmIommuPut, ReleaseOwnership, UnsetWindow
from actors.runtime.ops import Call
from actors.runtime.thread import Thread


class Release:
    """The judge of what a container gives up, and in which order.

    Args:
        view: the machine.
        found: told of each breach.
    """

    def __init__(self, view: View, found: Callable[[Violation], None]) -> None:
        self.view = view
        self.found = found
        self.judges: dict[type, Callable[[Thread, str, object], None]] = {
            Mmdrop: self._mmdrop,
            MmIommuPut: self._put,
            MmIommuForsake: self._put,
            UnsetWindow: self._unset,
            ReleaseOwnership: self._returned,
        }

    def message(self, thread: Thread, call: Call) -> None:
        """A request is about to be served."""
        judge = self.judges.get(call.request.__class__)
        if judge is not None:
            judge(thread, call.target, call.request)

    def _mmdrop(self, thread: Thread, target: str, request: object) -> None:
        """J-Q5, the second half: a container drops the mm last of all."""
        assert isinstance(request, Mmdrop)
        driver = next((d for d in self.view.drivers if d.data.name == request.holder), None)
        if driver is None:
            return
        listed, live = driver.data.prereg_list.items, live_tces(driver)
        if listed:
            self.found(Violation("J-Q5", f"{driver.actor.id} drops {target} while it still lists {', '.join(listed)}"))
        elif live:
            self.found(Violation("J-Q5", f"{driver.actor.id} drops {target} with {counted(live, 'live TCE')} in its tables"))

    def _put(self, thread: Thread, target: str, request: object) -> None:
        """J-Q5, the first half: a container without groups, which is being released, clears before it puts."""
        assert isinstance(request, MmIommuPut | MmIommuForsake)
        for driver in self.view.drivers:
            data = driver.data
            if request.mem in data.prereg_list.items and not data.group_list.items:
                live = live_tces(driver)
                if live:
                    self.found(Violation("J-Q5", f"the release of {driver.actor.id} puts {request.mem} with "
                                                 f"{counted(live, 'live TCE')} in its tables"))  # fmt: skip

    def _unset(self, thread: Thread, target: str, request: object) -> None:
        """J-T5: the last group that has a table gives it up; J-W1: a group gives up what it does not have."""
        assert isinstance(request, UnsetWindow)
        pe = next(group.pe for group in self.view.groups if group.id == target)
        table = pe.windows[request.num]
        if table is None:
            if any(name.startswith("container:") and mode == "write" for name, mode in thread.held):
                self.found(Violation("J-W1", f"window {request.num} is taken from {target}, which does not have it",
                                     recorded=True))  # fmt: skip
        elif table.live_count and not any(table in g.pe.windows for g in self.view.groups if g.id != target):
            self.found(Violation("J-T5", f"window {request.num} is taken from {target} with "
                                         f"{counted(table.live_count, 'TCE')} in its table", recorded=True))  # fmt: skip

    def _returned(self, thread: Thread, target: str, request: object) -> None:
        """J-T5: a group goes back to the host with a window of the container's set."""
        group = next(group for group in self.view.groups if group.id == target)
        for num, table in enumerate(group.pe.windows):
            if table is not None and table is not group.host_table and table.live_count:
                self.found(Violation("J-T5", f"{target} goes back to the host with window {num} set and "
                                             f"{counted(table.live_count, 'TCE')} in it"))  # fmt: skip


def live_tces(driver: Driver) -> int:
    """TCEs in all tables of a container."""
    return sum(table.hw.live_count for _, table in driver.tables)
