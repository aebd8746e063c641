"""The driver's data: ``struct tce_container``, its tables, and what the operations share.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c, arch/powerpc/include/asm/iommu.h.
"""

from __future__ import annotations

from errno import EPERM
from typing import TYPE_CHECKING

from actors.kernel.messages import AccountLockedVm, Mmdrop, Mmgrab, TableGroup
from actors.kernel.regions import PreregList
from actors.kernel.task import Task
from actors.kernel.uapi import UserPointer
from actors.runtime.actor import Actor
from actors.runtime.cells import Cell, KList, Refcount, free
from actors.runtime.errors import UseAfterFree
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Mutex, RwSem
from hw import PhysicalMemory, TceTable

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.runtime.core import Core

IOMMU_TABLE_GROUP_MAX_TABLES = 2


def slot_of(table: TceTable, index: int, write: bool) -> Op:
    """The access to one TCE, by the kernel (with its slot of the userspace view) or by a device."""
    return Op("slot", f"{table.name}[{index:#x}]", write, within=table.name)


class IommuTable:
    """``struct iommu_table``: a hardware table and who refers to it.

    Attributes:
        name: ``table:2``.
        hw: the table in memory.
        it_kref: the container that made it, and each group it is programmed into.
        freed: True once the last of them has let go.
    """

    __slots__ = ("freed", "hw", "it_kref", "name")

    def __init__(self, core: Core, hw: TceTable, holder: str) -> None:
        self.name = hw.name = core.number("table")
        self.hw = hw
        self.it_kref = Refcount(core, f"{self.name}.it_kref", holder)
        self.freed = False

    def slot(self, index: int, write: bool = True) -> Op:
        """The access to one TCE together with its slot of the userspace view."""
        return slot_of(self.hw, index, write)

    def view(self, index: int, write: bool = True) -> Op:
        """The access to a slot of the userspace view alone."""
        return Op("slot", f"{self.name}.it_userspace[{index:#x}]", write, within=self.name)

    def levels(self, view: bool, write: bool) -> Op:
        """The access to the pointers from level to level, of the table or of its userspace view."""
        return Op("slot", f"{self.name}.{'view_levels' if view else 'levels'}", write, within=self.name)

    def check(self, place: str) -> None:
        """Follow a pointer to the table.

        Raises:
            UseAfterFree: it was freed.
        """
        if self.freed:
            raise UseAfterFree(self.name, place)

    def scan(self) -> Op:
        """A look over many entries."""
        return Op("slot", self.name, False)

    def sweep(self) -> Op:
        """A change of many entries in one step."""
        return Op("slot", self.name, True)

    def __repr__(self) -> str:
        return f"<{self.name} 2^{self.hw.it_page_shift} x {self.hw.it_size}>"


class TceContainer:
    """``struct tce_container``: what the driver keeps for one VFIO container.

    Attributes:
        lock: serialises attach, detach, register, unregister, enable, disable, create and remove.
        enabled: whether MAP and UNMAP are allowed.
        v2: pre-registration, dynamic windows; fixed at open.
        def_window_pending: a 32-bit default window is owed.
        locked_pages: what v1 ENABLE charged, in kernel pages.
        mm: id of the mm the container is bound to; None until something binds it.
        tables: the two window slots.
        group_list: attached groups, the most recent first.
        prereg_list: names of the regions that this container has registered, the most recent first.
        tables_lock: keeps a table while MAP and UNMAP, which take no ``lock``, work on it.
    """

    def __init__(self, core: Core, v2: bool) -> None:
        self.name = core.number("tce_container")
        self.v2 = v2
        self.lock = Mutex(core, f"{self.name}.lock")
        self.enabled: Cell[bool] = Cell(core, f"{self.name}.enabled", False)
        self.def_window_pending: Cell[bool] = Cell(core, f"{self.name}.def_window_pending", False)
        self.locked_pages: Cell[int] = Cell(core, f"{self.name}.locked_pages", 0)
        self.mm: Cell[str | None] = Cell(core, f"{self.name}.mm", None)
        self.tables: tuple[Cell[IommuTable | None], ...] = tuple(
            Cell(core, f"{self.name}.tables[{num}]", None) for num in range(IOMMU_TABLE_GROUP_MAX_TABLES)
        )
        self.group_list: KList[TableGroup] = KList(core, f"{self.name}.group_list")
        self.prereg_list = PreregList(core, f"{self.name}.prereg_list")
        self.tables_lock = RwSem(core, f"{self.name}.tables_lock")

    async def free(self) -> None:
        """Free the struct: every later access to it is a use after free."""
        await free(
            self.name,
            self.enabled, self.def_window_pending, self.locked_pages, self.mm,
            *self.tables, self.group_list, self.prereg_list,
        )  # fmt: skip


class ContainerState(Actor):
    """What the parts of a container actor have in common."""

    kind = "container"

    def __init__(self, world: KernelGlobals, name: str = "") -> None:
        super().__init__(world.core, name)
        self.world = world
        self.memory: PhysicalMemory = world.memory
        self.iommu_data: Cell[TceContainer | None] = Cell(world.core, f"{self.id}.iommu_data", None)
        self.in_flight = 0
        self.user_copy_op = Op("user-copy", f"{self.id}.user", write=False)

    @property
    def current(self) -> Task:
        """The task that this ioctl or close runs as."""
        task: Task = self.core.current.task
        return task

    def nobody_can_disturb(self) -> bool:
        """Whether a whole run of entries may be treated as one step.

        True when no other thread could touch the same region, table or container in between, and no
        fault is armed that could stop the run half-way. The one step still declares all that it
        touches: somebody may have been there before it who could have come in the middle.
        """
        return self.in_flight <= 1 and self.core.alone() and self.core.faults is None

    def user_copy(self, arg: UserPointer, write: bool) -> Op:
        """The access to the caller's memory; what nobody else knows no other access can meet."""
        return Op("user-copy", f"user:{arg.name}", write) if arg.name else self.user_copy_op

    async def copy_from_user(self, arg: UserPointer, size: int) -> bytes | None:
        """Read ``size`` bytes of the caller's memory; None for a fault."""
        if self.core.controlled:
            await point(self.user_copy(arg, write=False))
        if self.core.fails("copy_from_user"):
            return None
        return arg.read(size)

    async def copy_to_user(self, arg: UserPointer, data: bytes) -> bool:
        """Write to the caller's memory; False for a fault."""
        if self.core.controlled:
            await point(self.user_copy(arg, write=True))
        return not self.core.fails("copy_to_user") and arg.write(data)

    async def tce_iommu_mm_bind(self, container: TceContainer) -> int:
        """Do :meth:`tce_iommu_mm_set` so that two threads that both find no binding do not both make one.

        Context: takes ``container.lock`` unless the container is bound already.
        """
        if await container.mm.get() is not None:
            return await self.tce_iommu_mm_set(container)
        async with container.lock:
            return await self.tce_iommu_mm_set(container)

    async def tce_iommu_mm_set(self, container: TceContainer) -> int:
        """Bind the container to the caller's mm, or check that it is bound to it.

        The binding survives a failure of what comes after it and ends only with the release.

        Returns:
            0, or -EPERM when the container is bound to another mm.

        Kernel: ``tce_iommu_mm_set``.
        """
        mm, mine = await container.mm.get(), self.current.mm
        if mm is not None:
            return -EPERM if self.foreign(mm) else 0
        if mine is None:
            return -EPERM
        await self.hold_mm(container, mine)
        await container.mm.set(mine)
        return 0

    def foreign(self, mm: str) -> bool:
        """Whether the caller's address space is another one than ``mm``."""
        return mm != self.current.mm

    async def hold_mm(self, container: TceContainer, mm: str) -> None:
        """Hold the struct of the mm that the container is being bound to."""
        await call(mm, Mmgrab(container.name))

    async def drop_mm(self, container: TceContainer, mm: str) -> None:
        """Let go of the mm that the container was bound to."""
        await call(mm, Mmdrop(container.name))

    async def is_bound(self, container: TceContainer) -> bool:
        """Whether anything has bound the container to an mm."""
        return await container.mm.get() is not None

    async def mm_of(self, container: TceContainer) -> str | None:
        """The mm whose regions the container uses."""
        return await container.mm.get()

    async def account_locked_vm(self, mm: str | None, pages: int) -> int:
        """Charge the container's mm, or give back when negative; 0 or -ENOMEM."""
        return await call(mm, AccountLockedVm(pages)) if mm is not None else 0
