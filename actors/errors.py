"""What userland is told: an error number, the operation, and where in the kernel it came from."""

from __future__ import annotations

import os
from errno import errorcode


class KernelError(OSError):
    """An operation failed in the modelled kernel, as it would on a real one.

    Not for oopses (:class:`actors.runtime.errors.KernelOops`) and not for mistakes of the emulator.

    Attributes:
        errno: the error number.
        operation: what was asked for, such as ``VFIO_IOMMU_MAP_DMA``.
        place: the kernel's function that serves it, such as ``tce_iommu_map_dma``.
    """

    def __init__(self, number: int, operation: str, place: str) -> None:
        super().__init__(number, os.strerror(number))
        self.operation = operation
        self.place = place

    def __str__(self) -> str:
        name = errorcode.get(self.errno or 0, str(self.errno))
        return f"{self.operation}: -{name} ({self.strerror}) from {self.place}"


def checked(ret: int, operation: str, place: str) -> int:
    """Return ``ret`` unless it is a negative errno.

    Raises:
        KernelError: it is.
    """
    if ret < 0:
        raise KernelError(-ret, operation, place)
    return ret
