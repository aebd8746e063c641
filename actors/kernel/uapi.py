"""The user interface in bytes: request numbers, struct layouts, least sizes.

Kernel: include/uapi/linux/vfio.h, arch/powerpc/include/uapi/asm/ioctl.h. All requests are plain
``_IO`` numbers; on powerpc the direction bits "none" are ``1 << 29``. Structs are little endian, as
on the recorded machines (ppc64le).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

VFIO_API_VERSION: Final = 0
_BASE: Final = 0x20003B64

VFIO_GET_API_VERSION: Final = _BASE + 0
VFIO_CHECK_EXTENSION: Final = _BASE + 1
VFIO_SET_IOMMU: Final = _BASE + 2
VFIO_GROUP_GET_STATUS: Final = _BASE + 3
VFIO_GROUP_SET_CONTAINER: Final = _BASE + 4
VFIO_GROUP_UNSET_CONTAINER: Final = _BASE + 5
VFIO_GROUP_GET_DEVICE_FD: Final = _BASE + 6
VFIO_IOMMU_SPAPR_TCE_GET_INFO: Final = _BASE + 12
VFIO_IOMMU_MAP_DMA: Final = _BASE + 13
VFIO_IOMMU_UNMAP_DMA: Final = _BASE + 14
VFIO_IOMMU_ENABLE: Final = _BASE + 15
VFIO_IOMMU_DISABLE: Final = _BASE + 16
VFIO_IOMMU_SPAPR_REGISTER_MEMORY: Final = _BASE + 17
VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY: Final = _BASE + 18
VFIO_IOMMU_SPAPR_TCE_CREATE: Final = _BASE + 19
VFIO_IOMMU_SPAPR_TCE_REMOVE: Final = _BASE + 20
VFIO_EEH_PE_OP: Final = _BASE + 21

REQUEST_NAMES: Final = {
    number: name
    for name, number in list(globals().items())
    if name.startswith("VFIO_") and isinstance(number, int) and number >= _BASE
}
"""Request number -> name, for messages to people."""

VFIO_SPAPR_TCE_IOMMU: Final = 2
VFIO_EEH: Final = 5
VFIO_SPAPR_TCE_v2_IOMMU: Final = 7

VFIO_DMA_MAP_FLAG_READ: Final = 1
VFIO_DMA_MAP_FLAG_WRITE: Final = 2
VFIO_IOMMU_SPAPR_INFO_DDW: Final = 1
VFIO_GROUP_FLAGS_VIABLE: Final = 1
VFIO_GROUP_FLAGS_CONTAINER_SET: Final = 2

VFIO_EEH_PE_GET_STATE: Final = 4
VFIO_EEH_PE_INJECT_ERR: Final = 9


class TceInfo(NamedTuple):
    """``struct vfio_iommu_spapr_tce_info``; the first 16 bytes end after ``dma32_window_size``."""

    argsz: int
    flags: int
    dma32_window_start: int
    dma32_window_size: int
    pgsizes: int = 0
    max_dynamic_windows_supported: int = 0
    levels: int = 0


class DmaMap(NamedTuple):
    """``struct vfio_iommu_type1_dma_map``: addresses and size in bytes."""

    argsz: int
    flags: int
    vaddr: int
    iova: int
    size: int


class DmaUnmap(NamedTuple):
    """``struct vfio_iommu_type1_dma_unmap``: address and size in bytes."""

    argsz: int
    flags: int
    iova: int
    size: int


class RegisterMemory(NamedTuple):
    """``struct vfio_iommu_spapr_register_memory``: address and size in bytes."""

    argsz: int
    flags: int
    vaddr: int
    size: int


class TceCreate(NamedTuple):
    """``struct vfio_iommu_spapr_tce_create``: size and bus address in bytes."""

    argsz: int
    flags: int
    page_shift: int
    reserved1: int
    window_size: int
    levels: int
    reserved2: int
    start_addr: int


class TceRemove(NamedTuple):
    """``struct vfio_iommu_spapr_tce_remove``: a bus address in bytes."""

    argsz: int
    flags: int
    start_addr: int


class EehPeOp(NamedTuple):
    """The head of ``struct vfio_eeh_pe_op``."""

    argsz: int
    flags: int
    op: int


class GroupStatus(NamedTuple):
    """``struct vfio_group_status``."""

    argsz: int
    flags: int


TCE_INFO: Final = struct.Struct("<IIIIQII")
TCE_INFO_HEAD: Final = struct.Struct("<IIII")
DMA_MAP: Final = struct.Struct("<IIQQQ")
DMA_UNMAP: Final = struct.Struct("<IIQQ")
REGISTER_MEMORY: Final = struct.Struct("<IIQQ")
TCE_CREATE: Final = struct.Struct("<IIIIQIIQ")
TCE_REMOVE: Final = struct.Struct("<IIQ")
EEH_PE_OP: Final = struct.Struct("<III")
EEH_PE_ERR_SIZE: Final = 40
GROUP_STATUS: Final = struct.Struct("<II")
INT: Final = struct.Struct("<i")


class UserPointer:
    """An address in the caller's memory and a way to read and write there.

    Args:
        data: the bytes that lie there; None for an address that is not mapped. Reading or writing
            beyond the end is a fault, as at the end of a mapping.
        name: of memory that several threads hand to the kernel; "" for what only the caller knows.
    """

    __slots__ = ("data", "name")

    def __init__(self, data: bytearray | None, name: str = "") -> None:
        self.data = data
        self.name = name

    def read(self, size: int) -> bytes | None:
        """Return ``size`` bytes, or None for a fault."""
        if self.data is None or len(self.data) < size:
            return None
        return bytes(self.data[:size])

    def write(self, data: bytes, offset: int = 0) -> bool:
        """Store ``data`` at ``offset`` bytes from the address; False for a fault."""
        if self.data is None or len(self.data) < offset + len(data):
            return False
        self.data[offset : offset + len(data)] = data
        return True

    def read_string(self, limit: int = 4096) -> str | None:
        """Return the NUL-terminated string there; None for a fault or no end within ``limit`` bytes."""
        end = -1 if self.data is None else self.data.find(0, 0, limit)
        if self.data is None or end < 0:
            return None
        return self.data[:end].decode("latin-1")
