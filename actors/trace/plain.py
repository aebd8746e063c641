"""Values of the kernel as JSON: numbers and texts as they are, objects by name, ioctls decoded."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

import msgspec
import numpy as np

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.regions import Region
from actors.kernel.task import File
from actors.kernel.tce_container import IommuTable
from actors.kernel.uapi import UserPointer

MOST_ELEMENTS = 64
"""Elements of a sequence that are shown."""

LARGEST, SMALLEST = (1 << 64) - 1, -(1 << 63)

LAYOUTS: Final[dict[int, tuple[Struct, Any]]] = {
    uapi.VFIO_IOMMU_MAP_DMA: (uapi.DMA_MAP, uapi.DmaMap),
    uapi.VFIO_IOMMU_UNMAP_DMA: (uapi.DMA_UNMAP, uapi.DmaUnmap),
    uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY: (uapi.REGISTER_MEMORY, uapi.RegisterMemory),
    uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY: (uapi.REGISTER_MEMORY, uapi.RegisterMemory),
    uapi.VFIO_IOMMU_SPAPR_TCE_CREATE: (uapi.TCE_CREATE, uapi.TceCreate),
    uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE: (uapi.TCE_REMOVE, uapi.TceRemove),
    uapi.VFIO_EEH_PE_OP: (uapi.EEH_PE_OP, uapi.EehPeOp),
}
"""Ioctl -> layout and fields of the struct that its argument points to."""

USELESS: Final = {"argsz", "reserved1", "reserved2"}


def plain(value: object) -> Any:
    """The value as something JSON can say; the same for equal values, whatever their addresses are."""
    kind = value.__class__
    if value is None or kind is str or kind is bool:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value) if SMALLEST <= value <= LARGEST else hex(int(value))
    return compound(value)


def compound(value: object) -> Any:
    """A value that has parts, or a name."""
    name = getattr(value, "name", None)
    if isinstance(value, (np.ndarray, bytes, bytearray)):
        return f"{len(value)} {'bytes' if isinstance(value, (bytes, bytearray)) else 'entries'}"
    if isinstance(value, UserPointer):
        return None if value.data is None else f"{len(value.data)} bytes"
    if isinstance(value, m.TableGroup):
        return value.group
    if hasattr(value, "_asdict"):
        return {key: plain(part) for key, part in value._asdict().items()}
    if isinstance(value, msgspec.Struct):
        return {key: plain(getattr(value, key)) for key in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value[:MOST_ELEMENTS]]
    return name if isinstance(name, str) else kind_of(value)


def kind_of(value: object) -> str:
    """The class of an object that has no name."""
    return f"<{type(value).__name__}>"


def facts_of(value: object) -> dict[str, Any]:
    """What never changes of a region (bytes, kernel pages), a window (bytes, entries) or a file."""
    if isinstance(value, Region):
        return {"ua": int(value.ua), "entries": value.entries}
    if isinstance(value, IommuTable):
        start = int(value.hw.it_offset) << value.hw.it_page_shift
        return {"start": start, "page_shift": value.hw.it_page_shift, "entries": value.hw.it_size}
    return {"kind": value.kind, "actor": value.actor} if isinstance(value, File) else {}


def operation_of(request: msgspec.Struct) -> str:
    """What a system call or other request from outside is called by people: ``VFIO_IOMMU_MAP_DMA``."""
    if isinstance(request, m.Ioctl):
        return uapi.REQUEST_NAMES.get(request.cmd) or f"ioctl({request.cmd:#x})"
    if isinstance(request, m.Memory):
        return str(request.request.serves)
    if isinstance(request, m.OpenPath):
        return f"open({request.path})"
    return str(getattr(request, "serves", "")).removeprefix("sys_")


def arguments_of(request: msgspec.Struct, data: bytes | None) -> dict[str, Any]:
    """The arguments of a request.

    Args:
        request: the request.
        data: what its pointer pointed to when it was sent.
    """
    if isinstance(request, m.Memory):
        return arguments_of(request.request, None)
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    cmd = values.get("cmd")
    if cmd is not None:
        values["cmd"] = uapi.REQUEST_NAMES.get(cmd, hex(cmd))
    if isinstance(values.get("arg"), UserPointer):
        del values["arg"]
        values |= decoded(cmd, data)
    return {name: plain(value) for name, value in values.items()}


def decoded(cmd: Any, data: bytes | None) -> dict[str, Any]:
    """The struct that an ioctl's argument pointed to; what has no known layout is only measured."""
    if data is None:
        return {"arg": "bad pointer"}
    if cmd not in LAYOUTS or len(data) < LAYOUTS[cmd][0].size:
        return {"arg": f"{len(data)} bytes"}
    layout, fields = LAYOUTS[cmd]
    values = fields._make(layout.unpack(data[: layout.size]))._asdict()
    return {name: value for name, value in values.items() if name not in USELESS}
