"""How each call of a recorded client becomes a step: one table, to be audited line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Call(NamedTuple):
    """How a recorded call becomes a step.

    Attributes:
        op: The step's operation.
        sent: Keys of `in`, by the field of the step that each fills; None is not carried over.
        arg: The field that `arg` fills.
        free: Keys of `in` are not looked at: the call is answered from the recording.
    """

    op: str
    sent: Mapping[str, str | None] = {}
    arg: str | None = None
    free: bool = False


def _call(to: str, sent: str = "", unused: str = "", arg: str | None = None, **renamed: str) -> Call:
    same: dict[str, str | None] = {key: key for key in sent.split()}
    return Call(to, same | dict.fromkeys(unused.split()) | renamed, arg)


_WINDOW = "dma32_window_start dma32_window_size"
_DDW = "ddw_pgsizes ddw_max_dynamic_windows_supported ddw_levels"
_DEVICE = Call("device", free=True)

CALLS: Mapping[str, Call] = {
    "open": _call("open"),
    "RELEASE": _call("release"),
    "VFIO_GET_API_VERSION": _call("api"),
    "VFIO_CHECK_EXTENSION": _call("chkext", arg="extension"),
    "VFIO_SET_IOMMU": _call("setiommu", arg="iommu_type"),
    "VFIO_GROUP_GET_STATUS": _call("status", "argsz flags"),
    "VFIO_GROUP_SET_CONTAINER": _call("setcont", "container"),
    "VFIO_GROUP_UNSET_CONTAINER": _call("unsetcont"),
    "VFIO_GROUP_GET_DEVICE_FD": _call("devfd", name="newfd"),
    "VFIO_IOMMU_ENABLE": _call("enable"),
    "VFIO_IOMMU_DISABLE": _call("disable"),
    "VFIO_IOMMU_SPAPR_TCE_GET_INFO": _call("info", "argsz flags", f"{_WINDOW} {_DDW}"),
    "VFIO_IOMMU_MAP_DMA": _call("map", "argsz flags vaddr iova size"),
    "VFIO_IOMMU_UNMAP_DMA": _call("unmap", "argsz flags iova size"),
    "VFIO_IOMMU_SPAPR_REGISTER_MEMORY": _call("reg", "argsz flags vaddr size"),
    "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY": _call("unreg", "argsz flags vaddr size"),
    "VFIO_IOMMU_SPAPR_TCE_CREATE": _call(
        "create", "argsz flags page_shift window_size levels", "__resv1 __resv2", start_addr="start_addr_in"
    ),
    "VFIO_IOMMU_SPAPR_TCE_REMOVE": _call("remove", "argsz flags start_addr"),
    "VFIO_EEH_PE_OP": _call("eeh", "argsz flags", "type func addr mask", op="eeh_op"),
    "VFIO_DEVICE_GET_INFO": _DEVICE,
    "VFIO_DEVICE_GET_REGION_INFO": _DEVICE,
    "VFIO_DEVICE_GET_IRQ_INFO": _DEVICE,
    "VFIO_DEVICE_SET_IRQS": _DEVICE,
    "VFIO_DEVICE_RESET": _DEVICE,
    "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO": _DEVICE,
    "VFIO_DEVICE_PCI_HOT_RESET": _DEVICE,
    "pread": _call("pread"),
    "pwrite": _call("pwrite"),
    "IRQ-INJECT": _call("irq"),
    "FREEZE-INJECT": _call("freeze"),
    "DMA-READ": _call("dma_read"),
    "DMA-WRITE": _call("dma_write"),
}
