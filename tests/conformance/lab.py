"""A machine for one test, told in the vectors' words what its processes do."""

from __future__ import annotations

from typing import Any

from actors.execute.steps import Execution, Outcome
from actors.machine import Machine
from actors.program import read_step
from actors.program.values import MachineSpec
from actors.runtime.bare import BareRuntime
from actors.runtime.errors import Deadlock, KernelOops, Livelock
from hw import HardwareError

RECORDED = ("v4.10-parent", "v4.10-seed", "v4.9.148-preseed", "v4.9.148", "v4.19", "v6.12")
PRE = ("v4.10-parent", "v4.9.148-preseed")
SEED = ("v4.10-seed", "v4.9.148", "v4.10")
OLD = (*PRE, *SEED)
UPSTREAM = ("v4.9", *OLD, "v4.19", "v6.12")
WITH_V1 = (*OLD, "v6.12")

EPERM, ENOENT, EIO, EBADF, ENOMEM, EACCES, EFAULT, EBUSY = -1, -2, -5, -9, -12, -13, -14, -16
ENODEV, EINVAL, ENOTTY, ENOSPC, EBADFD = -19, -22, -25, -28, -77
GIB = 1 << 30
WINDOW1 = 1 << 59
ENXIO = -6

BOUND = (*OLD, "v4.19", "v6.12", "fixed")
"""Kernels that bind a container to an mm."""


class Lab:
    """One machine; `lab("reg", fd="C0", vaddr="M0", size=65536)` is one step and returns `ret`."""

    def __init__(self, kernel: str, budget: int = 4_000_000, **machine: Any) -> None:
        spec = MachineSpec(**{"page_size": 65536, "groups": 2, **machine})
        self.kernel = kernel
        self.core = BareRuntime(budget=budget)
        self.machine = Machine.boot(self.core, kernel, spec)
        self.page = spec.page_size
        self.execution = Execution(self.machine)
        self.out: Any = None
        self._run(self.execution.start())

    def _run(self, body: Any) -> Any:
        thread = self.core.spawn(self.machine.harness, body, "test")
        self.core.run(thread)
        return self.core.result(thread)

    def __call__(self, op: str, actor: int = 0, **fields: Any) -> int | None:
        step = read_step({"op": op, "actor": actor, **fields})
        outcome: Outcome = self._run(self.execution.step(step))
        self._run(self.machine.rcu_barrier())
        self.out = outcome.out
        return outcome.ret

    def dies(self, op: str, actor: int = 0, **fields: Any) -> str:
        """The verdict of a step that does not return."""
        try:
            ret = self(op, actor, **fields)
        except Livelock:
            return "livelock"
        except Deadlock:
            return "deadlock"
        except (KernelOops, HardwareError):
            return "oops"
        return f"returned {ret}"

    # -- what is there -------------------------------------------------------------------------

    def locked(self, actor: int = 0) -> int:
        """`locked_vm` of a process in kernel pages."""
        return int(self._mm(actor).locked_vm.value)

    @property
    def pinned(self) -> int:
        """Pins of the whole machine."""
        return int(self.machine.memory.pinned_pages)

    def _mm(self, actor: int) -> Any:
        process: Any = self.core.actors[self.execution.processes[actor]]
        return self.core.actors[process.mm]

    # -- usual beginnings ----------------------------------------------------------------------

    def container(
        self, iommu_type: int | None = 7, number: int = 0, group: int | None = None, actor: int = 0
    ) -> Lab:
        """Open container and group `number`, put one into the other, choose the IOMMU."""
        index = number if group is None else group
        assert self("open", actor, path="/dev/vfio/vfio", fd=f"C{number}") == 0
        assert self("open", actor, path="/dev/vfio/<group>", fd=f"G{index}", group_index=index) == 0
        assert self("setcont", actor, fd=f"G{index}", container=f"C{number}") == 0
        if iommu_type is not None:
            assert self("setiommu", actor, fd=f"C{number}", iommu_type=iommu_type) == 0
        return self

    def join(self, group: int = 1, number: int = 0) -> int | None:
        """Open another group and put it into a container."""
        assert self("open", path="/dev/vfio/<group>", fd=f"G{group}", group_index=group) == 0
        return self("setcont", fd=f"G{group}", container=f"C{number}")

    def memory(self, pages: int = 16, name: str = "M0", actor: int = 0, **how: Any) -> Lab:
        """Map and touch `pages` kernel pages."""
        assert self("mmap", actor, addr=name, size=pages * self.page, prot="rw", **how) == 0
        assert self("touch", actor, addr=name, size=pages * self.page) == 0
        return self

    def reg(self, pages: int = 16, at: str = "M0", actor: int = 0, fd: str = "C0", **how: Any) -> int | None:
        """REGISTER."""
        return self("reg", actor, fd=fd, vaddr=at, size=pages * self.page, **how)

    def unreg(
        self, pages: int = 16, at: str = "M0", actor: int = 0, fd: str = "C0", **how: Any
    ) -> int | None:
        """UNREGISTER."""
        return self("unreg", actor, fd=fd, vaddr=at, size=pages * self.page, **how)

    def map(
        self, iova: int = 0, at: str = "M0", size: int = 4096, fd: str = "C0", actor: int = 0, **how: Any
    ) -> int | None:
        """MAP."""
        return self("map", actor, fd=fd, vaddr=at, iova=iova, size=size, **how)

    def unmap(
        self, iova: int = 0, size: int = 4096, fd: str = "C0", actor: int = 0, **how: Any
    ) -> int | None:
        """UNMAP."""
        return self("unmap", actor, fd=fd, iova=iova, size=size, **how)

    def create(
        self, shift: int, size: int, levels: int = 1, fd: str = "C0", actor: int = 0, **how: Any
    ) -> int | None:
        """TCE_CREATE."""
        return self("create", actor, fd=fd, page_shift=shift, window_size=size, levels=levels, **how)

    def remove(self, start: int = 0, fd: str = "C0", actor: int = 0, **how: Any) -> int | None:
        """TCE_REMOVE."""
        return self("remove", actor, fd=fd, start_addr=start, **how)

    def limit(self, nbytes: int, actor: int = 0) -> Lab:
        """Make RLIMIT_MEMLOCK bind."""
        assert self("dropcap", actor) == 0
        assert self("rlimit", actor, limit=nbytes) == 0
        return self


def default_pages(kernel: str) -> int:
    """What the default window costs before anything is mapped, in pages of 64K."""
    return 64 if kernel in OLD else 128


def view_pages(kernel: str) -> int:
    """What the first v2 MAP into the default window costs besides."""
    return 64 if kernel in OLD else 0


def unaligned(kernel: str) -> int:
    """The answer to a bus address that is no multiple of the IOMMU page (D.4)."""
    return 1 if kernel in ("v4.19", "v6.12") else EINVAL


def ready(kernel: str) -> Lab:
    """A container with a region of 16 pages and a mapping into it."""
    lab = Lab(kernel).container().memory()
    assert lab.reg() == lab.map() == 0
    assert lab.pinned == 16
    return lab
