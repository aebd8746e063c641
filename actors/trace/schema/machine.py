"""What becomes of the machine: failures, complaints, accesses of devices, and its state."""

from __future__ import annotations

from typing import Any, ClassVar

from actors.trace.schema.threads import Happening


class Fault(Happening, frozen=True, kw_only=True, tag="fault"):
    """A failure point failed because it was told to.

    Attributes:
        failpoint: its name.
    """

    failpoint: str


class Warn(Happening, frozen=True, kw_only=True, tag="warn"):
    """The modelled kernel warned (``WARN_ON``) and went on.

    Attributes:
        message: its text.
        place: the kernel function that warned.
    """

    level: ClassVar[str] = "warning"
    message: str
    place: str = ""


class Misuse(Happening, frozen=True, kw_only=True, tag="misuse"):
    """The model noticed by itself that an invariant is broken; the run goes on.

    Attributes:
        invariant: which one.
        message: how.
        place: the kernel function.
    """

    level: ClassVar[str] = "warning"
    invariant: str
    message: str
    place: str = ""


class Oops(Happening, frozen=True, kw_only=True, tag="oops"):
    """The modelled kernel crashed in this thread; what it holds stays held.

    Attributes:
        message: what happened, in the words of a kernel log.
        place: the kernel function.
        invariant: the invariant that this breaks, if one.
    """

    level: ClassVar[str] = "error"
    message: str
    place: str = ""
    invariant: str = ""


class Violation(Happening, frozen=True, kw_only=True, tag="violation"):
    """An oracle found an invariant broken.

    Attributes:
        invariant: which one.
        message: how, with its numbers.
        accesses: the accesses that explain it, as the oracle names them.
    """

    level: ClassVar[str] = "error"
    invariant: str
    message: str
    accesses: tuple[str, ...] = ()


class Dma(Happening, frozen=True, kw_only=True, tag="dma"):
    """A device read or wrote by bus address.

    Attributes:
        device: its name.
        iova: bus address in bytes.
        size: bytes.
        write: the device wrote.
        hits: the frames it touched, each with owner and pins.
    """

    device: str
    iova: int
    size: int
    write: bool = False
    hits: tuple[dict[str, Any], ...] = ()


class State(Happening, frozen=True, kw_only=True, tag="state"):
    """The whole state at this step: at the start of a log, and at its end.

    Attributes:
        mms: by id: holders of ``mm_users`` and ``mm_count``, ``locked_vm``, whether destroyed.
        regions: by name: mm, address, pages, ``used``, ``mapped``.
        containers: by id: regions registered, windows, groups, mm, holders of ``kref``; of each window
            holders of ``it_kref`` and how many entries are ``set``.
        groups: by id: its container, open file, users.
        files: by name: what it is, and holders of ``f_count``.
        cpus: by id: what runs, the active mm, whether it is borrowed.
        pins_by_holder: pinned pages by who holds them.
        locks: held locks, each with its holders.
    """

    mms: dict[str, dict[str, Any]] = {}
    regions: dict[str, dict[str, Any]] = {}
    containers: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    files: dict[str, dict[str, Any]] = {}
    cpus: dict[str, dict[str, Any]] = {}
    pins_by_holder: dict[str, int] = {}
    locks: dict[str, tuple[str, ...]] = {}
