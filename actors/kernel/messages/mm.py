"""To an address space: its mappings, its counts, its charge."""

from __future__ import annotations

from typing import ClassVar

from actors.runtime.messages import Request


class Mmap(Request[int], frozen=True, gc=False):
    """Make a mapping: see ``MmState.mmap``; 0 or a negative errno."""

    serves: ClassVar[str] = "mmap"
    addr: int
    size: int
    readable: bool
    writable: bool
    shared: bool
    shift: int
    replace: bool
    has_file: bool = False


class MmapAnywhere(Request[int], frozen=True, gc=False):
    """Make a private mapping where there is room; its address or a negative errno."""

    serves: ClassVar[str] = "mmap_anywhere"
    size: int
    shift: int


class Munmap(Request[int], frozen=True, gc=False):
    """Remove mappings."""

    serves: ClassVar[str] = "munmap"
    addr: int
    size: int


class Mprotect(Request[int], frozen=True, gc=False):
    """Change the protection of a range."""

    serves: ClassVar[str] = "mprotect"
    addr: int
    size: int
    readable: bool
    writable: bool


class Mlock(Request[int], frozen=True, gc=False):
    """Lock a range in memory."""

    serves: ClassVar[str] = "mlock"
    addr: int
    size: int


class Munlock(Request[int], frozen=True, gc=False):
    """Undo a lock."""

    serves: ClassVar[str] = "munlock"
    addr: int
    size: int


class Madvise(Request[int], frozen=True, gc=False):
    """Take advice, by Linux's number, on a range."""

    serves: ClassVar[str] = "madvise"
    addr: int
    size: int
    advice: int


class Touch(Request[int], frozen=True, gc=False):
    """Access every page of a range; 0 or -EFAULT."""

    serves: ClassVar[str] = "touch"
    addr: int
    size: int


class AccountLockedVm(Request[int], frozen=True, gc=False):
    """Charge (or, with a negative number, give back) kernel pages; 0 or -ENOMEM."""

    serves: ClassVar[str] = "account_locked_vm"
    pages: int


class Mmgrab(Request[None], frozen=True, gc=False):
    """Take one ``mm_count`` for a named holder."""

    serves: ClassVar[str] = "mmgrab"
    holder: str


class Mmdrop(Request[None], frozen=True, gc=False):
    """Drop one ``mm_count`` of a named holder; the last one destroys the context."""

    serves: ClassVar[str] = "mmdrop"
    holder: str


class Mmget(Request[None], frozen=True, gc=False):
    """Take one ``mm_users`` for a named task."""

    serves: ClassVar[str] = "mmget"
    holder: str


class Mmput(Request[None], frozen=True, gc=False):
    """Drop one ``mm_users`` of a named task; the last one unmaps everything."""

    serves: ClassVar[str] = "mmput"
    holder: str


class DupMmap(Request[str], frozen=True, gc=False):
    """Make the mm of a forked child and return its id."""

    serves: ClassVar[str] = "dup_mm"
    holder: str
    comm: str
