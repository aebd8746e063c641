"""What the whole kernel has once: memory, global locks, RCU, the classes it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from actors.kernel.hugetlb import Hugetlb
from actors.kernel.kthread import Kthread
from actors.runtime.ops import Op, point
from actors.runtime.rcu import Rcu
from actors.runtime.sync import Mutex
from hw import DmaReport, Phb, PhysicalMemory

if TYPE_CHECKING:
    from actors.kernel.composition import Kernel
    from actors.kernel.mm import MmImage
    from actors.kernel.mm_iommu import Mm
    from actors.program.values import MachineSpec
    from actors.runtime.core import Core

PHB_GENERATIONS: dict[str, Literal["PHB3", "PHB4"]] = {"powernv8": "PHB3", "powernv9": "PHB4"}


CMA_SHARE = 32
"""One part in this many of RAM is a CMA area."""


class KernelGlobals:
    """One booted kernel.

    Attributes:
        core: threads and choices.
        kernel: the classes of which this kernel is composed.
        memory: the machine's RAM.
        huge_shifts: log2 of the huge pages that have a pool.
        hugetlb: what is reserved of them.
        transparent_hugepages: whether memory whose owner asks for it comes as huge pages, as
            /sys/kernel/mm/transparent_hugepage/enabled says.
        cma_used: whether any user page has come from a CMA area.
        mem_list_mutex: serialises changes of all region lists (arch/powerpc/mm/book3s64/iommu_api.c).
        rcu: grace periods.
        cpus: ids of the CPU actors.
        group_ids: ids of the group actors.
        groups: path of a group -> its id.
        kthreads: name of a kernel thread -> its id.
        warnings: modelled WARNs as ``(message, function)``, oldest first.
        in_kernel: system calls in flight.
        on_return: called whenever a system call has ended; oracles listen here.
        on_dma: called whenever a device has touched a page; oracles listen here.
        misuses: breaches that the model itself noticed, as ``(invariant, message, function)``.
        dma_hits: what devices have done since the last look, as ``(group, report)``.
        pages_op, dma_op: dropping references to pages, and a device's access to a page. Any device's access
            excludes any drop, since which frame it meets is known only then; drops commute.
    """

    def __init__(self, core: Core, kernel: Kernel, spec: MachineSpec) -> None:
        self.core = core
        self.kernel = kernel
        self.memory = PhysicalMemory(
            spec.memory_bytes, spec.page_size, spec.hugepage_pools, spec.memory_bytes // CMA_SHARE
        )
        self.huge_shifts = sorted(spec.hugepage_pools)
        self.hugetlb = Hugetlb(self.memory)
        self.transparent_hugepages = True
        self.cma_used = False
        self.mem_list_mutex = Mutex(core, "mem_list_mutex")
        self.rcu = Rcu(core)
        self.rlimit_memlock_bytes = spec.rlimit_memlock
        self.cpus = [kernel.cpu(self).id for _ in range(spec.cpus)]
        generation = PHB_GENERATIONS[spec.platform]
        self.group_ids = [
            kernel.group(self, index, Phb(index, generation), spec.dma32_window_size).id
            for index in range(spec.groups)
        ]
        self.groups = {f"/dev/vfio/{index}": name for index, name in enumerate(self.group_ids)}
        self.kthreads: dict[str, str] = {}
        self.warnings: list[tuple[str, str]] = []
        self.in_kernel = 0
        self.on_return: Callable[[], None] | None = None
        self.on_dma: Callable[[], None] | None = None
        self.misuses: list[tuple[str, str, str]] = []
        self.dma_hits: list[tuple[str, DmaReport]] = []
        self.pages_op, self.dma_op = Op("frames", "pages", False), Op("frames", "pages", True)

    def new_mm(self, comm: str, user: str, image: MmImage | None = None) -> Mm:
        """Create an mm with one user, empty or as the copy that ``image`` describes."""
        return self.kernel.mm(self, comm, user, image)

    def kthread(self, comm: str) -> str:
        """The id of the kernel thread of that name, which is made when it is first asked for."""
        if comm not in self.kthreads:
            self.kthreads[comm] = Kthread(self.core, comm).id
        return self.kthreads[comm]

    def warn(self, message: str, place: str) -> None:
        """Log a modelled WARN. Kernel: ``WARN_ON``; the run goes on."""
        self.warnings.append((message, place))
        self.core.event("warn", message=message, place=place)

    def misuse(self, invariant: str, message: str, place: str) -> None:
        """Note a breach of an invariant that the model noticed by itself; the run goes on."""
        self.misuses.append((invariant, message, place))
        self.core.event("misuse", invariant=invariant, message=message, place=place)

    def note_dma(self, group: str, report: DmaReport) -> None:
        """Remember what a device did, for whoever judges it."""
        self.dma_hits.append((group, report))
        if self.on_dma is not None:
            self.on_dma()

    async def put_pages(self) -> None:
        """Declare that references to pages are about to be dropped. Kernel: ``put_page``."""
        if self.core.controlled:
            await point(self.pages_op)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy carries: everything but who listens."""
        return self.__dict__ | {"on_return": None, "on_dma": None}
