"""J-Q5 and J-T5: the order of a teardown, seen in the messages at the moment they begin to be served."""

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
        self._dropped: set[str] = set()
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
            self.view.look()
            judge(thread, call.target, call.request)

    def _mmdrop(self, thread: Thread, target: str, request: object) -> None:
        """J-Q5, the second half: a container drops the mm last of all."""
        assert isinstance(request, Mmdrop)
        driver = next((d for d in self.view.drivers if d.data.name == request.holder), None)
        if driver is not None:
            self._dropped.add(request.holder)
            live = live_tces(driver)
            if live:
                message = f"{driver.actor.id} drops {target} with {counted(live, 'live TCE')} in its tables"
                self.found(Violation("J-Q5", message))

    def _put(self, thread: Thread, target: str, request: object) -> None:
        """J-Q5, the first half: a container that is being released clears, then puts, then drops the mm."""
        assert isinstance(request, MmIommuPut | MmIommuForsake)
        sender = thread.frames[-1][0]
        for driver in self.view.drivers:
            data = driver.data
            if driver.actor is sender and request.mem in data.prereg_list.items and not data.group_list.items:
                what = f"the release of {driver.actor.id} puts {request.mem}"
                live = live_tces(driver)
                if live:
                    self.found(Violation("J-Q5", f"{what} with {counted(live, 'live TCE')} in its tables"))
                elif data.name in self._dropped:
                    self.found(Violation("J-Q5", f"{what} after it has dropped {target}"))

    def _unset(self, thread: Thread, target: str, request: object) -> None:
        """J-T5: the last group that has a table gives it up with TCEs in it."""
        assert isinstance(request, UnsetWindow)
        pe = next(group.pe for group in self.view.groups if group.id == target)
        table = pe.windows[request.num]
        if table is None or not table.live_count:
            return
        if not any(table in group.pe.windows for group in self.view.groups if group.id != target):
            tces = counted(table.live_count, "TCE")
            message = f"window {request.num} is taken from {target} with {tces} in its table"
            self.found(Violation("J-T5", message, recorded=True))

    def _returned(self, thread: Thread, target: str, request: object) -> None:
        """J-T5: a group goes back to the host with a window of the container's set."""
        group = next(group for group in self.view.groups if group.id == target)
        for num, table in enumerate(group.pe.windows):
            if table is not None and table is not group.host_table and table.live_count:
                tces = counted(table.live_count, "TCE")
                message = f"{target} goes back to the host with window {num} set and {tces} in it"
                self.found(Violation("J-T5", message))


def live_tces(driver: Driver) -> int:
    """TCEs in all tables of a container."""
    return sum(table.hw.live_count for _, table in driver.tables)
