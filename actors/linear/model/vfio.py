"""VFIO core: groups, containers, and what their descriptors answer."""

from __future__ import annotations

import struct
from abc import abstractmethod
from errno import EBADF, EBADFD, EBUSY, EFAULT, EINVAL, ENODEV, ENOTTY, EPERM

from actors.linear.model import tables
from actors.linear.model.files import FileCalls, lowest
from actors.linear.model.values import (
    Answer,
    Driver,
    File,
    Operation,
    Process,
    Region,
    State,
    Steps,
    Unmodelled,
)

V1, V2, EEH = 2, 7, 5
GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU = 0, 1, 2
GET_STATUS, SET_CONTAINER, UNSET_CONTAINER, GET_DEVICE_FD = 3, 4, 5, 6
HUGE = 1 << 40


class VfioCalls(FileCalls):
    """The part of the model that is VFIO core."""

    # -- ioctl ---------------------------------------------------------------------------------

    def sys_ioctl(
        self, state: State, op: Operation, process: Process,
        fd: int, nr: int, number: int | None, data: bytes | None,
    ) -> Steps:  # fmt: skip
        """ioctl: find the file, and hold it meanwhile."""
        found = process.fds.get(fd)
        if found is None:
            return [(state, Answer(-EBADF, data))]
        return [(self.held(state, found), ("at_file", (found,), process.mm))]

    def at_file(self, state: State, op: Operation, files: tuple[int, ...], mm: int) -> Steps:
        """Answer what the file is asked."""
        nr, data = op.args[1], op.args[3]
        file = state.files[files[0]]
        if file.kind == "container":
            return self.container_ioctl(state, op, files, mm, file.target)
        if file.kind != "group":
            return self.answered(state, files, Answer(-ENOTTY, data))
        if nr == SET_CONTAINER:
            return self.find_container(state, op, files)
        if nr == UNSET_CONTAINER:
            return self.unset_container(state, files, file.target, data)
        if nr == GET_STATUS:
            return self.answered(state, files, self.status(state, file.target, data))
        if nr == GET_DEVICE_FD:
            return self.device_fd(state, op, files, file.target)
        return self.answered(state, files, Answer(-ENOTTY, data))

    def answered(self, state: State, files: tuple[int, ...], answer: Answer) -> Steps:
        """The answer is known; what is left is to let go of the files."""
        return [(state, ("let_go", files, answer))]

    def status(self, state: State, group: int, data: bytes | None) -> Answer:
        """GET_STATUS."""
        if data is None or len(data) < 8:
            return Answer(-EFAULT, data)
        if struct.unpack_from("<I", data)[0] < 8:
            return Answer(-EINVAL, data)
        flags = 1 if state.groups[group].container is None else 3
        return Answer(0, data[:4] + struct.pack("<I", flags) + data[8:])

    def find_container(self, state: State, op: Operation, files: tuple[int, ...]) -> Steps:
        """SET_CONTAINER: find the container's file."""
        data = op.args[3]
        if data is None or len(data) < 4:
            return self.answered(state, files, Answer(-EFAULT, data))
        fd = struct.unpack_from("<i", data)[0]
        found = state.processes[op.process].fds.get(fd)
        if found is None:
            if self.rules.bad_fd_invalid and fd >= 0:
                return [(state, ("not_found", files))]
            error = -EINVAL if self.rules.bad_fd_invalid else -EBADF
            return self.answered(state, files, Answer(error, data))
        return [(self.held(state, found), ("set_container", (found, *files)))]

    def not_found(self, state: State, op: Operation, files: tuple[int, ...]) -> Steps:
        """SET_CONTAINER of what is not open: a group that is in a container does not get that far."""
        inside = state.groups[state.files[files[0]].target].container is not None
        return self.answered(state, files, Answer(-EINVAL if inside else -EBADF, op.args[3]))

    def set_container(self, state: State, op: Operation, files: tuple[int, ...]) -> Steps:
        """SET_CONTAINER: let the group join."""
        data, target, index = op.args[3], state.files[files[0]], state.files[files[1]].target
        if state.groups[index].container is not None:
            return self.answered(state, files, Answer(-EINVAL, data))
        if target.kind != "container":
            return self.answered(
                state, files, Answer(-EINVAL if self.rules.bad_fd_invalid else -EBADFD, data)
            )
        container = state.containers[target.target]
        error = self.may_join(container.driver, bool(container.groups))
        if error:
            return self.answered(state, files, Answer(error, data))
        state = state.with_container(target.target, groups=(index, *container.groups))
        there = container.driver.tables if container.driver is not None else ()
        missing = {num for num, table in enumerate(there) if table and self.rules.joining_group_empty}
        state = state.with_group(index, container=target.target, missing=frozenset(missing))
        return self.answered(state, files, Answer(0, data))

    def may_join(self, driver: Driver | None, others: bool) -> int:
        """Whether the driver takes a group, beside others: 0 or a negative errno."""
        if driver is None or driver.v2:
            return 0
        if self.rules.v1_refused:
            return -EPERM
        return -EBUSY if others and not self.rules.v1_shared else 0

    def unset_container(self, state: State, files: tuple[int, ...], group: int, data: bytes | None) -> Steps:
        """UNSET_CONTAINER."""
        there = state.groups[group]
        error = -EINVAL if there.container is None else -EBUSY if there.devices else 0
        if not error:
            state = self.leave_container(state, group)
        return self.answered(state, files, Answer(error, data))

    def device_fd(self, state: State, op: Operation, files: tuple[int, ...], group: int) -> Steps:
        """GET_DEVICE_FD."""
        data = op.args[3]
        end = -1 if data is None else data.find(0)
        if data is None or end < 0:
            return self.answered(state, files, Answer(-EFAULT, data))
        named = data[:end] == f"{group:04x}:01:00.0".encode()
        container = state.groups[group].container
        ready = container is not None and state.driver(container) is not None
        if not named or not ready:
            late = self.rules.device_name_last
            error = -EINVAL if not ready and (late or named) else -ENODEV
            return self.answered(state, files, Answer(error, data))
        state = state.with_group(group, devices=state.groups[group].devices + 1)
        return [(self.held(state, files[-1]), ("install_device", files, group))]

    def install_device(self, state: State, op: Operation, files: tuple[int, ...], group: int) -> Steps:
        """GET_DEVICE_FD has opened the device: now it gets a descriptor."""
        process = state.processes[op.process]
        file, fd = File("device", group, behind=files[-1]), lowest(process)
        if fd < 0:
            state = state.with_group(group, devices=state.groups[group].devices - 1)
            return self.answered(self.dropped(state, files[-1]), files, Answer(fd, op.args[3]))
        state = state.with_process(op.process, cloexec=process.cloexec | {fd})
        return self.answered(self.install(state, op, file, fd), files, Answer(fd, op.args[3]))

    # -- containers ----------------------------------------------------------------------------

    def container_ioctl(
        self, state: State, op: Operation, files: tuple[int, ...], mm: int, container: int
    ) -> Steps:
        """What VFIO core answers itself; the rest is the driver's."""
        _, nr, number, data = op.args
        value = HUGE if number is None else number
        if nr == GET_API_VERSION:
            return self.answered(state, files, Answer(0, data))
        if nr == CHECK_EXTENSION:
            return self.answered(state, files, Answer(int(value in (V1, V2, EEH)), data))
        if nr == SET_IOMMU:
            state, ret = self.set_iommu(state, container, value)
            return self.answered(state, files, Answer(ret, data))
        return self.driver_ioctl(state, op, files, mm, container)

    @abstractmethod
    def driver_ioctl(
        self, state: State, op: Operation, files: tuple[int, ...], mm: int, container: int
    ) -> Steps:
        """What the driver answers."""

    def set_iommu(self, state: State, container: int, kind: int) -> tuple[State, int]:
        """SET_IOMMU."""
        there = state.containers[container]
        if not there.groups or there.driver is not None:
            return state, -EINVAL
        if kind not in (V1, V2, EEH):
            return state, -ENODEV
        if kind == EEH:
            return state, -EINVAL
        driver = Driver(v2=kind == V2)
        for others in range(len(there.groups)):
            error = self.may_join(driver, others > 0)
            if error:
                return state, error
        return state.with_container(container, driver=driver), 0

    def leave_container(self, state: State, group: int) -> State:
        """A group leaves; with the last one goes the driver, and all that it holds."""
        container = state.groups[group].container
        if container is None:
            return state
        there = state.containers[container]
        left = tuple(each for each in there.groups if each != group)
        state = state.with_container(container, groups=left)
        state = state.with_group(group, container=None, missing=frozenset())
        driver = there.driver
        if driver is not None:
            if not left:
                state = self.release(state, container, driver)
            elif not self.rules.detach_keeps_tces:
                emptied = tuple(table and table._replace(runs=()) for table in driver.tables)
                state = self.reap(state.with_driver(container, tables=emptied), driver.mm)
        return self.without_container(state, container)

    def release(self, state: State, container: int, driver: Driver) -> State:
        """The driver's part of a container goes: its windows, then its registrations."""
        state = state.with_container(container, driver=None)
        if driver.mm is None:
            return state
        for region in state.mms[driver.mm].regions:
            orphan = region.key in driver.listed and not self.registrations(state, driver.mm, region)
            if orphan and self.mapped(state, driver.mm, region):
                state = self.orphaned(state, driver.mm, region)
        return self.reap(state, driver.mm)

    def orphaned(self, state: State, mm: int, region: Region) -> State:
        """Nobody registers a region any more, but a TCE of another container points in."""
        if self.rules.release_hangs:
            raise Unmodelled("the end of a container that waits for ever for another one's TCEs")
        return self.with_lost(state, mm, region.key) if self.rules.release_leaks else state

    # -- what can be seen ----------------------------------------------------------------------

    def look(self, state: State, op: Operation) -> Steps:
        """What can be seen when nothing moves: charges, pins, and what each device can reach."""
        if any(process.exiting and process.fds for process in state.processes.values()):
            return []
        locked = tuple(
            (name, self.locked(state, process.mm))
            for name, process in sorted(state.processes.items())
            if not process.exiting
        )
        users = {process.mm for process in state.processes.values() if not process.exiting}
        users |= {c.driver.mm for c in state.containers.values() if c.driver and c.driver.mm is not None}
        in_use = sum(region.pages for mm in users for region in state.mms[mm].regions)
        left = sum(region.pages for space in state.mms.values() for region in space.regions) - in_use
        pinned = 0
        windows: list[tuple[tuple[int, int, int], ...]] = []
        for group in state.groups:
            driver = None if group.container is None else state.driver(group.container)
            found = driver.tables if driver is not None else ()
            given = [t for num, t in enumerate(found) if t is not None and num not in group.missing]
            windows.append(tuple(run for table in given for run in tables.reach(table)))
        for container in state.containers.values():
            if container.driver is not None and not container.driver.v2:
                for table in container.driver.tables:
                    pinned += sum(run.length for run in table.runs) if table is not None else 0
        # Where the mm has registered, its regions go with it: at once, or when no CPU borrows it any more.
        late = (0, left) if self.rules.mm_registers and left else (left,)
        return [(state, Answer(0, (locked, in_use + pinned + each, tuple(windows)))) for each in late]
