"""Windows of a container: the default one, TCE_CREATE, TCE_REMOVE."""

from __future__ import annotations

import struct
from errno import EFAULT, EINVAL, ENOMEM, ENOSPC

from actors.linear.model import tables
from actors.linear.model.values import Answer, Driver, Local, Operation, State, Steps, Table
from actors.linear.model.vfio import VfioCalls

Done = tuple[State, int | Local, bytes | None]
"""The state after a request, its answer or how it goes on, and the bytes at its pointer."""


class WindowCalls(VfioCalls):
    """The part of the model that is windows."""

    def create(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """TCE_CREATE: the default window if it is owed, then the one that is asked for."""
        if data is None or len(data) < 40:
            return state, -EFAULT, data
        argsz, flags = struct.unpack_from("<II", data)
        if argsz < 40 or flags:
            return state, -EINVAL, data
        if not self.driver_of(state, container).pending:
            return self.create_asked(state, op, container, data)
        state, ret = self.make_default_window(state, op, container)
        return state, ret or ("create_window",), data

    def create_window(self, state: State, op: Operation, files: tuple[int, ...], container: int) -> Steps:
        """TCE_CREATE has made the window that was owed: now the one that was asked for."""
        if state.driver(container) is None:
            return []
        state, ret, data = self.create_asked(state, op, container, op.args[3])
        if isinstance(ret, int):
            return self.answered(state.with_driver(container, locked=False), files, Answer(ret, data))
        return [(state, (ret[0], files, container, *ret[1:]))]

    def create_asked(self, state: State, op: Operation, container: int, data: bytes) -> Done:
        """Make the window that was asked for."""
        argsz, flags, shift, reserved, size, levels, more, _ = struct.unpack_from("<IIIIQIIQ", data)
        mm, before = self.caller_mm(state, op), state
        state, window, ret = self.make_window(state, op, container, shift, size, levels)
        if ret and state.mms[mm].lost > before.mms[mm].lost and not self.rules.failed_table_leaks:
            return state, ("give_back", state.mms[mm].lost - before.mms[mm].lost, ret), data
        if ret:
            return state, ret, data
        start = tables.WINDOW_STARTS[window] >> shift << shift
        reply = struct.pack("<IIIIQIIQ", argsz, flags, shift, reserved, size, levels, more, start)
        return state, 0, reply + data[40:]

    def make_default_window(self, state: State, op: Operation, container: int) -> tuple[State, int]:
        """Make the 32-bit window, if it is owed."""
        if not self.driver_of(state, container).pending:
            return state, 0
        state, _, ret = self.make_window(state, op, container, 12, self.rules.dma32_bytes, 1)
        return (state, ret) if ret else (state.with_driver(container, pending=False), 0)

    def make_window(
        self, state: State, op: Operation, container: int, shift: int, size: int, levels: int
    ) -> tuple[State, int, int]:
        """Make a window in the lowest free slot: the state, the slot, 0 or an errno."""
        driver = self.driver_of(state, container)
        if None not in driver.tables:
            return state, 0, -ENOSPC
        window = driver.tables.index(None)
        if not self.rules.page_sizes & tables.power(shift):
            return state, 0, -EINVAL
        size_bytes = tables.charge(self.rules, shift, size, levels)
        if not size_bytes:
            return state, 0, -EINVAL
        pages = size_bytes >> self.rules.page_shift
        mm = self.caller_mm(state, op) if driver.mm is None else driver.mm
        if self.too_much(state, op.process, mm, pages):
            return state, 0, -ENOMEM
        made = tables.make(self.rules, window, shift, size, levels)
        if isinstance(made, int):
            return self.charged(state, mm, pages), 0, made
        if self.rules.firmware_refuses >> shift & 1:
            return state, 0, -1
        for group in state.containers[container].groups:
            state = state.with_group(group, missing=state.groups[group].missing - {window})
        return state.with_driver(container, tables=with_table(driver, window, made)), window, 0

    def remove(self, state: State, op: Operation, container: int, data: bytes | None) -> Done:
        """TCE_REMOVE: cancel the default window, or remove the one that holds an address."""
        if data is None or len(data) < 16:
            return state, -EFAULT, data
        argsz, flags, start = struct.unpack_from("<IIQ", data)
        if argsz < 16 or flags:
            return state, -EINVAL, data
        driver = self.driver_of(state, container)
        if driver.pending and start == 0:
            return state.with_driver(container, pending=False), 0, data
        window = window_at(driver, start)
        if window is None:
            return state, -EINVAL, data
        state = state.with_driver(container, tables=with_table(driver, window, None))
        return self.reap(state, driver.mm), 0, data

    def give_back(
        self, state: State, op: Operation, files: tuple[int, ...], container: int, pages: int, ret: int
    ) -> Steps:
        """What is gone is still charged for a moment, and so is what could not be made."""
        driver = state.driver(container)
        if driver is None or driver.mm is None:
            return []
        state = self.charged(state, driver.mm, -pages).with_driver(container, locked=False)
        return self.answered(state, files, Answer(ret, op.args[3]))

    def driver_of(self, state: State, container: int) -> Driver:
        """The driver of a container that has one."""
        driver = state.driver(container)
        assert driver is not None
        return driver

    def caller_mm(self, state: State, op: Operation) -> int:
        """The address space of the caller."""
        return state.processes[op.process].mm


def window_at(driver: Driver, address: int) -> int | None:
    """The slot of the window that holds a bus address."""
    for num, table in enumerate(driver.tables):
        if table is not None and table.offset <= address >> table.shift < table.offset + table.size:
            return num
    return None


def with_table(driver: Driver, window: int, table: Table | None) -> tuple[Table | None, ...]:
    """The windows of a container with one of them replaced."""
    return tuple(table if num == window else each for num, each in enumerate(driver.tables))
