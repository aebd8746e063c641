"""The places at which the modelled kernel may run out of something, by name.

The kernel text asks ``core.fails(name)`` at each of them; nothing fails unless somebody outside has
said so.
"""

from __future__ import annotations

from typing import Final

FAILPOINTS: Final[dict[str, str]] = {
    "copy_from_user": "reading the argument of a container's ioctl: -EFAULT",
    "copy_to_user": "writing the reply of a container's ioctl: -EFAULT",
    "account_locked_vm": "charging locked memory: -ENOMEM",
    "mm_iommu_do_alloc.array": "REGISTER: the array of the region's addresses",
    "pin_user_pages": "pinning user pages: only the first few are pinned",
    "tce_iommu_register_pages.kzalloc": "REGISTER: the element of the container's list",
    "tce_iommu_attach_group.kzalloc": "attaching a group: the element of the container's list",
    "iommu_group_get_iommudata": "attaching a group that has no DMA of its own",
    "take_ownership": "taking a PE from the host, when its group joins a container",
    "tce_iommu_take_ownership": "attaching a group: making its windows the container's",
    "set_window": "the firmware call that programs a window",
    "pnv_pci_ioda2_table_alloc_pages": "TCE_CREATE: the memory of the table",
    "tce_page_is_contained": "MAP: the page behind an entry is smaller than the IOMMU page: -EPERM",
    "pnv_alloc_tce_level": "MAP: a level of a table",
    "pnv_alloc_tce_level.view": "MAP: a level of the table's userspace view",
    "alloc_pages.cma": "no failure: a user page comes from a CMA area",
}
"""Name -> what fails there, and what that means to the caller."""
