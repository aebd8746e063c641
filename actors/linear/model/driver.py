"""The SPAPR driver: whom it answers what; ENABLE and DISABLE, GET_INFO, EEH."""

from __future__ import annotations

import struct
from abc import abstractmethod
from errno import EBUSY, EFAULT, EINVAL, ENOMEM, ENOTTY, EPERM

from actors.linear.model import eeh
from actors.linear.model.prereg import PreregCalls
from actors.linear.model.values import (
    Answer,
    Driver,
    Operation,
    State,
    Steps,
    Table,
)
from actors.linear.model.windows import Done

GET_INFO, MAP, UNMAP, ENABLE, DISABLE, REGISTER, UNREGISTER, CREATE, REMOVE, EEH_OP = range(12, 22)

REQUESTS = {
    GET_INFO: "get_info",
    MAP: "map",
    UNMAP: "unmap",
    EEH_OP: "eeh",
    ENABLE: "enable",
    DISABLE: "disable",
    REGISTER: "register",
    UNREGISTER: "unregister",
    CREATE: "create",
    REMOVE: "remove",
}
V1_ONLY, V2_ONLY = (ENABLE, DISABLE), (REGISTER, UNREGISTER, CREATE, REMOVE)
BINDING = (REGISTER, CREATE, REMOVE)
LOCKING = (ENABLE, DISABLE, REGISTER, UNREGISTER, CREATE, REMOVE)


class DriverCalls(PreregCalls):
    """The part of the model that is the driver, without MAP and UNMAP."""

    def driver_ioctl(
        self, state: State, op: Operation, files: tuple[int, ...], mm: int, container: int
    ) -> Steps:
        """What the driver answers: first whose it is, then whether it knows the request."""
        nr, data, driver = op.args[1], op.args[3], state.driver(container)
        if driver is None:
            return self.answered(state, files, Answer(-EINVAL, data))
        if driver.mm not in (None, mm):
            return self.answered(state, files, Answer(-EPERM, data))
        if nr not in REQUESTS or nr in (V1_ONLY if driver.v2 else V2_ONLY):
            return self.answered(state, files, Answer(-ENOTTY, data))
        if driver.mm is None:
            return [(state, ("admitted", files, mm, container))]
        return self.bound(state, op, files, container)

    def admitted(self, state: State, op: Operation, files: tuple[int, ...], mm: int, container: int) -> Steps:
        """The container was nobody's when that was looked at; meanwhile somebody may have bound it."""
        driver, nr = state.driver(container), op.args[1]
        if driver is None or nr not in BINDING:
            return self.bound(state, op, files, container)
        if driver.mm is None:
            return [(state.with_driver(container, mm=mm), ("bound", files, container))]
        if driver.mm != mm:
            return self.answered(state, files, Answer(-EPERM, op.args[3]))
        return self.bound(state, op, files, container)

    def bound(self, state: State, op: Operation, files: tuple[int, ...], container: int) -> Steps:
        """The request itself.

        What binds a container does so first, whatever comes after; others may run in between.
        """
        driver, nr = state.driver(container), op.args[1]
        if driver is None or (driver.locked and nr in LOCKING):
            return []
        if driver.mm is None and nr in BINDING:  # another driver: what this call had bound is gone
            return []
        if nr in (MAP, UNMAP):
            return self.map_or_unmap(state, op, files, container)
        if nr == EEH_OP:
            return self.eeh(state, op, files, state.containers[container].groups)
        state, ret, data = getattr(self, REQUESTS[nr])(state, op, container, op.args[3])
        if isinstance(ret, int):
            return self.answered(state, files, Answer(ret, data))
        return [(state.with_driver(container, locked=True), (ret[0], files, container, *ret[1:]))]

    @abstractmethod
    def map_or_unmap(self, state: State, op: Operation, files: tuple[int, ...], container: int) -> Steps:
        """MAP and UNMAP."""

    # -- GET_INFO and EEH ----------------------------------------------------------------------

    def get_info(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """GET_INFO: 16 bytes, or 32 when there is room."""
        if data is None or len(data) < 16:
            return state, -EFAULT, data
        argsz = struct.unpack_from("<I", data)[0]
        if argsz < 16:
            return state, -EINVAL, data
        v2 = self.driver_of(state, container).v2
        dynamic = (self.rules.page_sizes, 2, 5) if v2 else (0, 0, 0)
        reply = struct.pack("<IIIIQII", argsz, int(v2), 0, self.rules.dma32_bytes, *dynamic)
        size = 32 if argsz >= 32 else 16
        if len(data) < size:
            return state, -EFAULT, data
        return state, 0, reply[:size] + data[size:]

    def eeh(self, state: State, op: Operation, files: tuple[int, ...], groups: tuple[int, ...]) -> Steps:
        """EEH_PE_OP: one group after another, until one answers something else than 0."""
        data, first, left = op.args[3], groups[0], groups[1:]
        now, ret = eeh.operation(state.groups[first].eeh, data)
        state = state.with_group(first, eeh=now)
        if ret or not left:
            return self.answered(state, files, Answer(ret, data))
        return [(state, ("eeh", files, left))]

    def dma(self, state: State, op: Operation) -> Steps:
        """A device accesses memory: a fault stops its PE, and a stopped one lets nothing through."""
        group, moved, fault = op.args
        now = eeh.access(state.groups[group].eeh, moved, fault)
        return [] if now is None else [(state.with_group(group, eeh=now), Answer(moved))]

    # -- v1 ------------------------------------------------------------------------------------

    def enable(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """ENABLE: the whole 32-bit window is charged."""
        driver = self.driver_of(state, container)
        if driver.enabled:
            return state, -EBUSY, data
        mm = self.caller_mm(state, op)
        if driver.mm not in (None, mm):
            return state, -EPERM, data
        state = state.with_driver(container, mm=mm)
        if self.too_much(state, op.process, mm, self.rules.dma32_bytes >> self.rules.page_shift):
            return state, -ENOMEM, data
        return state.with_driver(container, enabled=True), 0, data

    def disable(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """DISABLE: nothing is mapped any more."""
        driver = self.driver_of(state, container)
        if driver.enabled and not self.rules.disable_keeps_tces:
            state = state.with_driver(container, tables=emptied(driver))
        return state.with_driver(container, enabled=False), 0, data


def emptied(driver: Driver) -> tuple[Table | None, ...]:
    """The windows of a container with nothing in them."""
    return tuple(table and table._replace(runs=()) for table in driver.tables)
