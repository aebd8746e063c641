"""Every request that one actor of the kernel sends to another: one file a receiver.

``serves`` names the method that answers; the fields are its arguments in order.
"""

from actors.kernel.messages.container import (
    ContainerAttachGroup,
    ContainerDetachGroup,
    ContainerFreezePes,
    ContainerIoctl,
    ContainerRelease,
)
from actors.kernel.messages.cpu import RcuBarrier, RunTask, ShootLazyTlb, SwitchMm, TaskDead
from actors.kernel.messages.group import (
    ContainerHasIommu,
    DeviceDma,
    DeviceRelease,
    EehOp,
    FreezePe,
    GroupDeviceGet,
    GroupIoctl,
    GroupOpen,
    GroupRelease,
    ReleaseOwnership,
    SetContainer,
    SetWindow,
    TableGroup,
    TakeOwnership,
    TceKill,
    UnsetWindow,
)
from actors.kernel.messages.mm import (
    AccountLockedVm,
    DupMmap,
    Madvise,
    Mlock,
    Mmap,
    MmapAnywhere,
    Mmdrop,
    Mmget,
    Mmgrab,
    Mmput,
    Mprotect,
    Munlock,
    Munmap,
    Touch,
)
from actors.kernel.messages.process import (
    Clone,
    CloneThread,
    Close,
    DropCap,
    Dup,
    Exec,
    ExitGroup,
    GetDeviceFd,
    Ioctl,
    Kill,
    Memory,
    OpenPath,
    RunOn,
    SetCloexec,
    SetRlimit,
    SystemCall,
)
from actors.kernel.messages.region import (
    MmIommuFind,
    MmIommuForsake,
    MmIommuFree,
    MmIommuGet,
    MmIommuMappedDec,
    MmIommuMappedInc,
    MmIommuMapRange,
    MmIommuNew,
    MmIommuPut,
    MmIommuUaToHpa,
    MmIommuUnmapRange,
    NewRegion,
    PinUserPage,
    Translated,
)

__all__ = [
    "AccountLockedVm", "Clone", "CloneThread", "Close", "ContainerAttachGroup", "ContainerDetachGroup",
    "ContainerFreezePes", "ContainerHasIommu", "ContainerIoctl", "ContainerRelease", "DeviceDma",
    "DeviceRelease", "DropCap", "Dup", "DupMmap", "EehOp", "Exec", "ExitGroup", "FreezePe", "GetDeviceFd",
    "GroupDeviceGet", "GroupIoctl", "GroupOpen", "GroupRelease", "Ioctl", "Kill", "Madvise",
    "Memory", "Mlock", "MmIommuFind", "MmIommuForsake", "MmIommuFree", "MmIommuGet",
    "MmIommuMapRange", "MmIommuMappedDec", "MmIommuMappedInc", "MmIommuNew", "MmIommuPut", "MmIommuUaToHpa",
    "MmIommuUnmapRange", "Mmap", "MmapAnywhere", "Mmdrop", "Mmget", "Mmgrab", "Mmput", "Mprotect",
    "Munlock", "Munmap", "NewRegion", "OpenPath", "PinUserPage", "RcuBarrier", "ReleaseOwnership", "RunOn",
    "RunTask", "SetCloexec", "SetContainer", "SetRlimit", "SetWindow", "ShootLazyTlb", "SwitchMm",
    "SystemCall", "TableGroup", "TakeOwnership", "TaskDead", "TceKill", "Touch", "Translated",
    "UnsetWindow",
]  # fmt: skip
