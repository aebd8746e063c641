"""The state of the sequential reference model: values only, cheap to copy, equal when they mean the same.

Nothing counts here what can be seen: how often a region is mapped, and what a process is charged, follow
from the tables and lists. So the model cannot get a counter wrong that the kernel gets wrong too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Dict(dict[K, V]):
    """A dict that is replaced, never changed: hashable, and its hash is computed once."""

    __slots__ = ("_hash",)

    _hash: int

    def put(self, key: K, value: V) -> Dict[K, V]:
        """Return a copy in which ``key`` has ``value``."""
        copy = Dict(self)
        dict.__setitem__(copy, key, value)
        return copy

    def drop(self, key: K) -> Dict[K, V]:
        """Return a copy without ``key``."""
        copy = Dict(self)
        dict.__delitem__(copy, key)
        return copy

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def __reduce__(self) -> tuple[type[Dict[K, V]], tuple[dict[K, V]]]:
        return Dict, (dict(self),)


class Unmodelled(Exception):
    """The model does not know what this call does; nothing may be concluded from here on."""


class Operation(NamedTuple):
    """One call as it was made.

    Attributes:
        process: who made it.
        call: its name, such as ``ioctl``.
        args: its arguments, in the order of the model's method ``sys_<call>``.
    """

    process: str
    call: str
    args: tuple[Any, ...] = ()


class Answer(NamedTuple):
    """What a call came to.

    Attributes:
        ret: its return value; None for one that returns nothing, or that nobody was there to receive.
        data: the bytes that lie where its pointer points, afterwards; for a look, what was seen.
    """

    ret: int | str | None
    data: Any = None


class Rules(NamedTuple):
    """The machine, and in what a kernel differs from the mended one, one after another.

    Attributes:
        page_shift, memory_bytes, dma32_bytes, groups: the machine.
        page_sizes: bit s set: windows may have IOMMU pages of ``1 << s`` bytes.
        huge_pages: log2 of a huge page -> how many there are.
        param_error: the answer to an iova that is not aligned or not inside.
        unmap_ignores_count: UNMAP looks whether its first page is inside, no further.
        map_ignores_count: so does MAP.
        short_pin_positive: REGISTER of a range with a hole answers the pages before it.
        unregister_leaks: UNREGISTER of a mapped region answers 0 and leaks it.
        release_leaks: the end of a container leaks regions that others map.
        release_hangs: it never ends then.
        failed_table_leaks: a table that could not be made stays charged.
        disable_keeps_tces: DISABLE leaves the TCEs.
        overlap_first: REGISTER looks for overlaps before anything else.
        bad_fd_invalid: SET_CONTAINER answers -EINVAL to what is no container.
        device_name_last: GET_DEVICE_FD looks at the container before the name.
        detach_keeps_tces: a group that leaves does not empty the windows.
        v1_refused: groups cannot join a v1 container.
        v1_shared: a v1 container takes several groups.
        region_without_shift: what a region is backed by matters page by page, at MAP.
        view_charged_apart: a table's userspace view is charged by the first MAP.
        window_within_ram: no window is larger than the memory.
        small_levels_free: levels above a small table cost nothing.
        table_bits: the bits of a bus address that a table must stay below.
        firmware_refuses: page shifts that are offered but refused when a window is set.
        joining_group_empty: a group that joins gets none of the windows that are there.
        mm_registers: registrations belong to the address space, whichever container made them.
    """

    page_shift: int = 16
    memory_bytes: int = 2 << 30
    dma32_bytes: int = 2 << 30
    groups: int = 1
    page_sizes: int = 1 << 12 | 1 << 16 | 1 << 21 | 1 << 30
    huge_pages: Dict[int, int] = Dict()
    param_error: int = -22
    unmap_ignores_count: bool = False
    map_ignores_count: bool = False
    short_pin_positive: bool = False
    unregister_leaks: bool = False
    release_leaks: bool = False
    release_hangs: bool = False
    failed_table_leaks: bool = False
    disable_keeps_tces: bool = False
    overlap_first: bool = False
    bad_fd_invalid: bool = False
    device_name_last: bool = False
    detach_keeps_tces: bool = False
    v1_refused: bool = False
    v1_shared: bool = False
    region_without_shift: bool = False
    view_charged_apart: bool = False
    window_within_ram: bool = False
    small_levels_free: bool = False
    table_bits: int = 55
    firmware_refuses: int = 0
    joining_group_empty: bool = False
    mm_registers: bool = False


class Vma(NamedTuple):
    """Mapped memory: kernel pages ``first .. last - 1``; ``shift`` is log2 of the backing page.

    Attributes:
        inherited: whether a forked child gets it.
    """

    first: int
    last: int
    readable: bool
    writable: bool
    shift: int
    locked: bool
    inherited: bool = True


class Region(NamedTuple):
    """Registered memory: ``pages`` kernel pages from page ``first`` on.

    Attributes:
        limit: log2 of the largest IOMMU page that may point in.
        backing: log2 of the smallest page behind it.
        lost: registrations that nobody can take back any more.
    """

    first: int
    pages: int
    limit: int
    backing: int
    lost: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What containers list it by."""
        return self.first, self.pages


class Mm(NamedTuple):
    """An address space.

    Attributes:
        vmas: its mappings.
        regions: its registered memory.
        lost: pages that are charged for nothing.
        counted: keys of regions that an entry pointed into which is empty by now, while whoever emptied it
            has not said so yet: they still count as mapped.
    """

    vmas: tuple[Vma, ...] = ()
    regions: tuple[Region, ...] = ()
    lost: int = 0
    counted: tuple[tuple[int, int], ...] = ()


class Run(NamedTuple):
    """Entries ``first .. first + length - 1``, pointing to user memory from ``ua`` on."""

    first: int
    length: int
    ua: int
    perm: int


class Table(NamedTuple):
    """A window: ``size`` entries from bus entry ``offset`` on; ``charge`` and ``view`` in kernel pages."""

    shift: int
    offset: int
    size: int
    charge: int
    view: int = 0
    runs: tuple[Run, ...] = ()


class Driver(NamedTuple):
    """The SPAPR driver's part of a container, while it has an IOMMU; ``locked`` while a call is in it."""

    v2: bool
    mm: int | None = None
    locked: bool = False
    enabled: bool = False
    pending: bool = True
    tables: tuple[Table | None, ...] = (None, None)
    listed: frozenset[tuple[int, int]] = frozenset()


class Container(NamedTuple):
    """A container: its groups, the most recent first, and its driver."""

    groups: tuple[int, ...] = ()
    driver: Driver | None = None


class Group(NamedTuple):
    """A group.

    Attributes:
        opened: whether a file of it is open.
        container: where it is in.
        devices: how many files of its device are open.
        eeh: the state of its PE.
        missing: window slots of its container that it was not given.
    """

    opened: bool = False
    container: int | None = None
    devices: int = 0
    eeh: int = 0
    missing: frozenset[int] = frozenset()


class File(NamedTuple):
    """An open file: what of, and how many descriptors and calls refer to it."""

    kind: str
    target: int
    refs: int = 1
    behind: int | None = None


class Process(NamedTuple):
    """A process.

    Attributes:
        mm: its address space.
        fds: descriptor -> file.
        promised: descriptors of files that are being opened.
        cloexec: descriptors that exec closes.
        memlock: the limit in bytes; None for none.
        capable: CAP_IPC_LOCK, which lifts the limit.
        exiting: it makes no call any more.
        calls: how many of its calls have begun and not ended.
    """

    mm: int
    fds: Dict[int, int] = Dict()
    promised: frozenset[int] = frozenset()
    cloexec: frozenset[int] = frozenset()
    memlock: int | None = None
    capable: bool = True
    exiting: bool = False
    calls: int = 0


class State(NamedTuple):
    """Everything; ``serial`` numbers what is new."""

    processes: Dict[str, Process]
    mms: Dict[int, Mm]
    files: Dict[int, File]
    containers: Dict[int, Container]
    groups: tuple[Group, ...]
    serial: int = 0

    def with_process(self, name: str, **changes: Any) -> State:
        """Return a copy in which a process is changed."""
        return self._replace(processes=self.processes.put(name, self.processes[name]._replace(**changes)))

    def with_mm(self, mm: int, **changes: Any) -> State:
        """Return a copy in which an address space is changed."""
        return self._replace(mms=self.mms.put(mm, self.mms[mm]._replace(**changes)))

    def with_container(self, container: int, **changes: Any) -> State:
        """Return a copy in which a container is changed."""
        changed = self.containers[container]._replace(**changes)
        return self._replace(containers=self.containers.put(container, changed))

    def with_driver(self, container: int, **changes: Any) -> State:
        """Return a copy in which the driver of a container is changed."""
        driver = self.driver(container)
        assert driver is not None
        return self.with_container(container, driver=driver._replace(**changes))

    def with_group(self, index: int, **changes: Any) -> State:
        """Return a copy in which a group is changed."""
        groups = list(self.groups)
        groups[index] = groups[index]._replace(**changes)
        return self._replace(groups=tuple(groups))

    def driver(self, container: int) -> Driver | None:
        """The driver of a container, if both are there."""
        found = self.containers.get(container)
        return found.driver if found is not None else None


Local = tuple[Any, ...]
"""How far a call has got: the model's method that goes on, and what it goes on with."""

Steps = list[tuple[State, Local | Answer]]
"""What a call may do next: each with the state after it, and how far the call then is, or its answer."""


def frozen(values: Mapping[K, V]) -> Dict[K, V]:
    """Make a mapping one that is never changed."""
    return Dict(values)
