"""What the developers of a client should be told about the calls it makes."""

from __future__ import annotations

from collections.abc import Iterator

from actors.program import Address, Step, Stream

ZERO = Address()
MOST = 1 << 16
"""Mappings of one row that are remembered."""


def remarks_on(stream: Stream) -> tuple[str, ...]:
    """One line for each kind of mistake that the recorded client makes."""
    return tuple(map_structs_sent_as_unmaps(stream))


def map_structs_sent_as_unmaps(stream: Stream) -> Iterator[str]:
    """UNMAP_DMA with the bytes of a map struct.

    ``vfio_iommu_type1_dma_map`` has ``vaddr`` where the unmap struct has ``iova``, and ``iova`` where that
    has ``size``. A client that leaves ``vaddr`` 0 so asks to unmap from 0 on, for as many bytes as the
    address that it means.
    """
    mapped: set[tuple[str | None, int]] = set()
    wrong: list[tuple[int, int]] = []
    call = 0
    for step in stream.program.setup:
        if step.op == "map" and step.iova is not None:
            mapped.update((step.fd, iova) for iova in iovas(step))
        elif step.iova == ZERO and step.size is not None and (step.fd, step.size.offset) in mapped:
            wrong.append((call, step.size.offset))
        call += step.repeat
    if wrong:
        first, iova = wrong[0]
        yield (
            f"call {first}: UNMAP_DMA got a struct vfio_iommu_type1_dma_map instead of ..._dma_unmap: "
            f"iova reads 0 and size reads {iova:#x}, the iova that was meant; all below it is cleared, "
            f"the mapping at {iova:#x} stays, and UNREGISTER_MEMORY finds its region still mapped "
            f"({len(wrong)} such call{'s' * (len(wrong) > 1)})"
        )


def iovas(step: Step) -> Iterator[int]:
    """The bus addresses at which the calls of a row begin."""
    assert step.iova is not None
    by = 0 if step.stride is None else step.stride.get("iova", 0)
    return (step.iova.offset + by * count for count in range(min(step.repeat, MOST) if by else 1))
