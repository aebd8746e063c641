"""EEH_PE_OP: error recovery of the PEs of a container.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c, ``vfio_spapr_ioctl_eeh_pe_op``. The state machine of a
PE is hardware and lives in :mod:`hw.eeh`.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL

from actors.kernel.messages import EehOp
from actors.kernel.tce_container import ContainerState, TceContainer
from actors.kernel.uapi import EEH_PE_ERR_SIZE, EEH_PE_OP, VFIO_EEH_PE_INJECT_ERR, EehPeOp, UserPointer
from actors.runtime.ops import call


class Eeh(ContainerState):
    """The EEH part of a container."""

    async def tce_iommu_eeh(self, container: TceContainer, arg: UserPointer) -> int:
        """Let each group's PE perform the operation; the first result that is not 0 ends it.

        Returns:
            0, the state number of GET_STATE, or -EFAULT, -EINVAL, -EIO.
        """
        for group in await container.group_list.walk():
            ret = await self.eeh_pe_op(group.group, arg)
            if ret:
                return ret
        return 0

    async def eeh_pe_op(self, group: str, arg: UserPointer) -> int:
        """Copy and check the argument for one group and hand the operation to its PE."""
        data = await self.copy_from_user(arg, EEH_PE_OP.size)
        if data is None:
            return -EFAULT
        param = EehPeOp._make(EEH_PE_OP.unpack(data))
        if param.argsz < EEH_PE_OP.size or param.flags:
            return -EINVAL
        if param.op == VFIO_EEH_PE_INJECT_ERR:
            if param.argsz < EEH_PE_ERR_SIZE:
                return -EINVAL
            if await self.copy_from_user(arg, EEH_PE_ERR_SIZE) is None:
                return -EFAULT
        return await call(group, EehOp(param.op))
