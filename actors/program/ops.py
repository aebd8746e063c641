"""The operations: one table of who acts and which fields there are, one of what fields take.

Both are meant to be audited line by line against the description of the file formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from actors.program import fields as f
from actors.program.address import Address, parse_address
from actors.program.fields import ERRNO_BY_NAME, Reader
from actors.program.values import Step, resolve_value

ZERO = Address()

FIELDS: Mapping[str, Reader] = {
    "path": f.path,
    "fd": f.name,
    "newfd": f.name,
    "group_index": f.index,
    "container": f.container,
    "device": f.name,
    "iommu_type": f.u64,
    "extension": f.u64,
    "nr_offset": f.u8,
    "addr": parse_address,
    "vaddr": parse_address,
    "iova": f.size,
    "size": f.size,
    "prot": f.prot,
    "mmap_flags": f.mmap_flags,
    "hshift": f.number(12, 40),
    "file": f.prose,
    "advice": f.advice,
    "limit": f.limit,
    "page_shift": f.u32,
    "window_size": f.size,
    "levels": f.u32,
    "start_addr": f.size,
    "start_addr_in": f.size,
    "eeh_op": f.u32,
    "argsz": f.u32,
    "flags": f.u32,
    "bad_user_pointer": f.flag,
    "new_actor": f.actor,
    "target": f.actor,
    "task": f.task,
    "group": f.index,
    "write": f.flag,
    "off": f.u64,
    "len": f.u32,
    "data": f.text(r"(?:[0-9a-fA-F]{2})*", "bytes as hexadecimal digits"),
}


class Op(NamedTuple):
    """What an operation takes.

    Attributes:
        who: `process`, `cpu`, `machine` (stands in any thread), or `stream` (a process, streams only).
        required: Fields that must be there.
        optional: Fields that may be left out, with the value they then have.
    """

    who: str
    required: tuple[str, ...]
    optional: Mapping[str, Any]

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields, required first."""
        return (*self.required, *self.optional)


def _op(who: str, required: str = "", **left_out: Any) -> Op:
    return Op(who, tuple(required.split()), MappingProxyType(left_out))


def _process(required: str = "", **left_out: Any) -> Op:
    return _op("process", required, **left_out)


def _struct(required: str, argsz: int, flags: int = 0, **left_out: Any) -> Op:
    """An ioctl that passes a struct: `argsz` is its usual size, `flags` the usual flags."""
    return _process(required, argsz=argsz, flags=flags, bad_user_pointer=False, **left_out)


def _stream(required: str = "", **left_out: Any) -> Op:
    return _op("stream", required, **left_out)


OPS: Mapping[str, Op] = {
    # descriptors
    "open": _process("path fd", group_index=0),
    "opennull": _process("fd"),
    "close": _process("fd"),
    "dup": _process("fd newfd"),
    "cloexec": _process("fd"),
    # VFIO core
    "setcont": _process("fd container", bad_user_pointer=False),
    "unsetcont": _process("fd"),
    "setiommu": _process("fd iommu_type"),
    "status": _struct("fd", argsz=8),
    "devfd": _process("fd newfd", device=None, bad_user_pointer=False),
    # the container's ioctls
    "api": _process("fd"),
    "chkext": _process("fd extension"),
    "info": _struct("fd", argsz=32),
    "enable": _process("fd"),
    "disable": _process("fd"),
    "map": _struct("fd vaddr iova size", argsz=32, flags=3),
    "unmap": _struct("fd iova size", argsz=24),
    "reg": _struct("fd vaddr size", argsz=24),
    "unreg": _struct("fd vaddr size", argsz=24),
    "create": _struct("fd page_shift window_size levels", argsz=40, start_addr_in=ZERO),
    "remove": _struct("fd start_addr", argsz=16),
    "eeh": _struct("fd eeh_op", argsz=12),
    "ioctl": _process("fd nr_offset", bad_user_pointer=False),
    # memory of the process
    "mmap": _process("addr size prot", mmap_flags=(), hshift=None, file=None),
    "munmap": _process("addr size"),
    "mprotect": _process("addr size prot"),
    "madvise": _process("addr size advice"),
    "mlock": _process("addr size"),
    "munlock": _process("addr size"),
    "touch": _process("addr size"),
    # limits
    "rlimit": _process("limit"),
    "dropcap": _process(),
    # life of processes
    "fork": _process("new_actor"),
    "clonevm": _process("new_actor"),
    "exec": _process(),
    "exit": _process(),
    "abort": _op("machine", target=None),
    "memfree": _process(),
    # the machine itself
    "run": _op("cpu", "task"),
    "dma": _op("machine", "group iova size", write=False),
    "rcu": _op("machine"),
    # only in recorded client streams
    "release": _stream("fd"),
    "device": _stream("fd"),
    "pread": _stream("fd", off=0, len=0, data=""),
    "pwrite": _stream("fd", off=0, len=0, data=""),
    "irq": _stream("fd"),
    "freeze": _stream("fd"),
    "dma_read": _stream("fd", off=0, len=0, data=""),
    "dma_write": _stream("fd", off=0, len=0, data=""),
}

EEH_PE_INJECT_ERR = 9
_EEH_INJECT_ARGSZ = 40

VECTOR_OPS = frozenset(op for op, spec in OPS.items() if spec.who == "process") | {"abort"}
PROGRAM_OPS = frozenset(op for op, spec in OPS.items() if spec.who != "stream")
ALL_OPS = frozenset(OPS)

# Which operations give a name of a descriptor, and in which field.
OPENERS: Mapping[str, str] = {"open": "fd", "opennull": "fd", "dup": "newfd", "devfd": "newfd"}


def arguments(step: Step, regions: Mapping[str, int], page_size: int) -> dict[str, Any]:
    """Every field of the step's operation by name, ready to be carried out.

    Addresses and sizes are resolved to numbers; a field that was left out has its usual value.

    Raises:
        KeyError: An address names a region that has no base.
    """
    spec = OPS[step.op]
    values = {name: getattr(step, name) for name in spec.required}
    for name in spec.optional:
        value = getattr(step, name)
        values[name] = usual(step, name) if value is None else value
    return {name: resolve_value(value, regions, page_size) for name, value in values.items()}


def usual(step: Step, name: str) -> Any:
    """The value of an optional field that is left out."""
    if step.op == "eeh" and name == "argsz" and step.eeh_op == EEH_PE_INJECT_ERR:
        return _EEH_INJECT_ARGSZ
    return OPS[step.op].optional[name]


def allowed_results(step: Step) -> frozenset[int] | None:
    """The results that are right: those of `ret` and, negative, those of `errno`; None expects nothing."""
    if step.ret is None and step.errno is None:
        return None
    return frozenset(step.ret or ()) | {-ERRNO_BY_NAME[name] for name in step.errno or ()}


def regions_of(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Names of all regions that addresses of the steps mention, in order of first mention."""
    addresses = (address for step in steps for address in (step.addr, step.vaddr) if address)
    return tuple(dict.fromkeys(address.region for address in addresses if address.region))
