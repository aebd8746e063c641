"""Descriptors of VFIO: groups and containers, each ioctl a method of its own."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self

from actors.errors import KernelError, checked
from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.group import device_name
from actors.kernel.spapr_tce import HANDLERS
from actors.kernel.uapi import UserPointer
from actors.machine.arguments import expect_attributes, expect_unsigned

if TYPE_CHECKING:
    from actors.machine.process import Memory, Process


class Descriptor:
    """An open descriptor of one process."""

    def __init__(self, process: Process, fd: int) -> None:
        self.process = process
        self.fd = fd

    async def close(self) -> None:
        """Close it."""
        checked(await self.process.call(m.Close(self.fd)), "close", "close_fd")

    async def dup(self) -> Self:
        """Duplicate it."""
        return self._at(self.process, checked(await self.process.call(m.Dup(self.fd)), "dup", "fget"))

    def seen_by(self, process: Process) -> Self:
        """The same descriptor in another process that inherited it."""
        return self._at(process, self.fd)

    def _at(self, process: Process, fd: int) -> Self:
        other = copy(self)
        other.process, other.fd = process, fd
        return other

    async def _ioctl(self, cmd: int, arg: Any = 0) -> int:
        ret = await self.process.ioctl(self.fd, cmd, arg)
        if ret < 0:
            raise KernelError(-ret, uapi.REQUEST_NAMES[cmd], place_of(cmd))
        return ret


def place_of(cmd: int) -> str:
    """The kernel function that serves a request."""
    return HANDLERS[True].get(cmd) or HANDLERS[False].get(cmd) or uapi.REQUEST_NAMES[cmd].lower()


def packed_range(operation: str, memory: Memory) -> bytearray:
    """The argument of both calls on registrations."""
    expect_attributes(operation, ("start", "size"), "memory that mmap has returned", memory=memory)
    expect_unsigned(operation, start=memory.start, size=memory.size)
    return bytearray(uapi.REGISTER_MEMORY.pack(uapi.REGISTER_MEMORY.size, 0, memory.start, memory.size))


class Group(Descriptor):
    """An open IOMMU group."""

    async def set_container(self, container: Container) -> None:
        """Put the group into a container."""
        expect_attributes("set_container", ("fd",), "an open container", container=container)
        await self._ioctl(uapi.VFIO_GROUP_SET_CONTAINER, UserPointer(bytearray(uapi.INT.pack(container.fd))))

    async def unset_container(self) -> None:
        """Take the group out of its container; the last one out ends the driver's data."""
        await self._ioctl(uapi.VFIO_GROUP_UNSET_CONTAINER)

    def __init__(self, process: Process, fd: int, index: int = 0) -> None:
        super().__init__(process, fd)
        self.index = index

    async def open_device(self, name: str = "") -> Descriptor:
        """Open the group's device; while it is open the group cannot leave its container."""
        wanted = name or device_name(self.index)
        fd = await self._ioctl(uapi.VFIO_GROUP_GET_DEVICE_FD, UserPointer(bytearray(wanted.encode() + b"\0")))
        return Descriptor(self.process, fd)


class Container(Descriptor):
    """An open VFIO container."""

    async def check_extension(self, extension: int) -> int:
        """Ask whether an extension or IOMMU type is supported."""
        expect_unsigned("check_extension", extension=extension)
        return await self._ioctl(uapi.VFIO_CHECK_EXTENSION, extension)

    async def set_iommu(self, iommu_type: int) -> None:
        """Choose the IOMMU type: ``VFIO_SPAPR_TCE_IOMMU`` or ``VFIO_SPAPR_TCE_v2_IOMMU``."""
        expect_unsigned("set_iommu", iommu_type=iommu_type)
        await self._ioctl(uapi.VFIO_SET_IOMMU, iommu_type)

    async def info(self) -> uapi.TceInfo:
        """Ask for windows and page sizes."""
        pointer = UserPointer(bytearray(uapi.TCE_INFO.pack(uapi.TCE_INFO.size, 0, 0, 0, 0, 0, 0)))
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, pointer)
        assert pointer.data is not None
        return uapi.TceInfo._make(uapi.TCE_INFO.unpack(pointer.data))

    async def enable(self) -> None:
        """ENABLE (v1): charge the 32-bit window."""
        await self._ioctl(uapi.VFIO_IOMMU_ENABLE)

    async def disable(self) -> None:
        """DISABLE (v1)."""
        await self._ioctl(uapi.VFIO_IOMMU_DISABLE)

    async def register_memory(self, memory: Memory) -> int:
        """Pre-register a range (v2); 0, or what a kernel with a defect returns."""
        data = packed_range("register_memory", memory)
        return await self._ioctl(uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, UserPointer(data))

    async def unregister_memory(self, memory: Memory) -> int:
        """Take a registration back (v2)."""
        data = packed_range("unregister_memory", memory)
        return await self._ioctl(uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, UserPointer(data))

    async def map_dma(self, iova: int, vaddr: int, size: int, flags: int = 3) -> int:
        """Map ``size`` bytes at a bus address."""
        expect_unsigned("map_dma", iova=iova, vaddr=vaddr, size=size)
        expect_unsigned("map_dma", 32, flags=flags)
        data = uapi.DMA_MAP.pack(uapi.DMA_MAP.size, flags, vaddr, iova, size)
        return await self._ioctl(uapi.VFIO_IOMMU_MAP_DMA, UserPointer(bytearray(data)))

    async def unmap_dma(self, iova: int, size: int) -> int:
        """Clear ``size`` bytes at a bus address."""
        expect_unsigned("unmap_dma", iova=iova, size=size)
        data = uapi.DMA_UNMAP.pack(uapi.DMA_UNMAP.size, 0, iova, size)
        return await self._ioctl(uapi.VFIO_IOMMU_UNMAP_DMA, UserPointer(bytearray(data)))

    async def create_window(self, page_shift: int, window_size: int, levels: int = 1) -> int:
        """Create a DMA window; its bus address."""
        expect_unsigned("create_window", 32, page_shift=page_shift, levels=levels)
        expect_unsigned("create_window", window_size=window_size)
        data = bytearray(
            uapi.TCE_CREATE.pack(uapi.TCE_CREATE.size, 0, page_shift, 0, window_size, levels, 0, 0)
        )
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_CREATE, UserPointer(data))
        return uapi.TceCreate._make(uapi.TCE_CREATE.unpack(data)).start_addr

    async def remove_window(self, start_addr: int) -> None:
        """Remove the DMA window that holds a bus address."""
        expect_unsigned("remove_window", start_addr=start_addr)
        data = uapi.TCE_REMOVE.pack(uapi.TCE_REMOVE.size, 0, start_addr)
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, UserPointer(bytearray(data)))
