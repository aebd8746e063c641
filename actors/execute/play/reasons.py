"""Why the emulator's answer differs from a recorded one: one table, to be audited line by line.

The recorder answered in the kernel's place, so its replies are only plausible. A difference is explained
by the first rule that fits: by the defect that gives this answer, by the section of the kernel's behaviour
that demands it, or by the recorder having said what no kernel would.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from errno import EBADF, EBUSY, EFAULT, EINVAL, EIO, ENOENT, ENOMEM, ENOSPC, ENOTTY, ENXIO, EPERM
from typing import NamedTuple

RECORDER = "recorder"
UNEXPLAINED = "unexplained"

Match = Callable[[int], bool]


def is_(*values: int) -> Match:
    """Match one of these replies."""
    return lambda reply: reply in values


def any_(reply: int) -> bool:
    """Match every reply."""
    return True


def done(reply: int) -> bool:
    """Match every success."""
    return reply >= 0


def count(reply: int) -> bool:
    """Match a positive number, where 0 was meant."""
    return reply > 0


class Rule(NamedTuple):
    """One reason.

    Attributes:
        ops: operations that it is about.
        recorded: which recorded replies.
        actual: which replies of the emulator.
        fact: what must be so (see :mod:`actors.execute.play.facts`), "" for nothing.
        piece: the piece that the kernel must have, "" for any kernel.
        why: the piece's slug, a section of the kernel's description, or :data:`RECORDER`.
        words: the reason in words.
    """

    ops: str
    recorded: Match
    actual: Match
    fact: str
    piece: str
    why: str
    words: str


def _rule(ops: str, recorded: Match, actual: Match, why: str, words: str, fact: str = "") -> Rule:
    return Rule(ops, recorded, actual, fact, "", why, words)


def _piece(ops: str, recorded: Match, actual: Match, slug: str, words: str, fact: str = "") -> Rule:
    return Rule(ops, recorded, actual, fact, slug, slug, words)


GROUP_OPS = "status setcont unsetcont devfd"
CONTAINER_OPS = "info enable disable map unmap reg unreg create remove eeh devfd"

RULES: tuple[Rule, ...] = (
    # VFIO core: what no driver could answer
    _rule("chkext", is_(0), is_(1), "B.2", "both container types are offered whatever the groups are"),
    _rule("chkext", is_(1), is_(0), "B.2", "the kernel does not know this extension"),
    _rule("open", done, is_(-EBUSY), "E.2", "the group is open already"),
    _rule("open", any_, is_(-ENOENT), "E.2", "there is no such group"),
    _rule(GROUP_OPS, any_, is_(-EBADF), "E.2", "the group could not be opened before"),
    _rule("setiommu", any_, is_(-EPERM), "B.16", "the container type does not fit the group's windows"),
    _rule("setiommu", any_, is_(-EINVAL), "E.2", "no group, or an IOMMU already"),
    _rule(CONTAINER_OPS, any_, is_(-EINVAL), "E.2", "the container has no IOMMU driver", "no driver"),
    _rule(CONTAINER_OPS, any_, is_(-ENOTTY), "B.0", "this container type has no such request"),
    _rule("unsetcont", done, is_(-EINVAL), "E.2", "the group is in no container"),
    # pre-registration
    _rule("unreg", is_(-EBUSY), is_(0), "O.6", "another registration of the range stays", "registered again"),
    _piece("unreg", any_, is_(0), "unregister-busy-swallowed", "TCEs point in, and it is leaked", "mapped"),
    _rule("unreg", is_(-EBUSY), is_(0), "B.7", "no TCE points into the region any more", "not mapped"),
    _piece("unreg", any_, is_(-ENOENT), "unregister-busy-swallowed", "it was leaked before", "not listed"),
    _rule("unreg", any_, is_(-ENOENT), "B.7", "this container has not registered it", "not listed"),
    _rule("unreg", done, is_(-EBUSY), "B.7", "TCEs point into the region", "mapped"),
    _piece("reg", any_, count, "partial-pin-positive", "the number of pages before the hole"),
    _rule("reg", done, is_(-EBUSY), "B.6", "this container has registered the range already"),
    _rule("reg", done, is_(-EINVAL, -EFAULT, -ENOMEM), "B.6", "it overlaps another, or it cannot be pinned"),
    # windows
    _rule("create", is_(-ENOMEM), done, RECORDER, "the recorder refused a window that every kernel makes"),
    _rule("create", any_, is_(-ENOSPC), "B.14", "both window slots are taken"),
    _rule("create", any_, is_(-EINVAL), "D.2", "the kernel has no such IOMMU page size", "page size"),
    _rule("create", any_, is_(-EINVAL, -ENOMEM), "D.3", "the table is too large or has too many levels"),
    _rule("remove", done, is_(-EINVAL), "B.15", "there is no window at this address"),
    # mapping
    _piece("map unmap", any_, count, "param-check-returns-one", "a failed check answers 1"),
    _rule("map", done, is_(-ENXIO), "B.8", "there is no window at this address", "no window"),
    _rule("unmap", done, is_(-ENXIO), "B.12", "there is no window at this address", "no window"),
    _rule("map", done, is_(-EPERM), "B.8", "nothing is registered, so the container is not enabled"),
    _rule("unmap", done, is_(-EPERM), "B.12", "nothing is registered, so the container is not enabled"),
    _rule("map", done, is_(-EINVAL), "B.10", "the memory is not registered, or its pages are too small"),
    _rule("map", done, is_(-EFAULT, -ENOMEM), "B.9", "the memory cannot be pinned, or there is none"),
    _rule("unmap", done, is_(-EINVAL), "B.12", "the range leaves the window or is not aligned"),
    _rule("eeh", any_, done, "I", "the state that the PE is in"),
    _rule("eeh", any_, is_(-EINVAL, -EIO), "I", "the platform refuses the operation"),
)

OUT_RULES: tuple[tuple[str, str, str, str], ...] = (
    ("info", "ddw.pgsizes", "page sizes", "D.2"),
    ("info", "", "v1", "B.3"),
    ("status", "flags", "", "E.2"),
    ("create", "start_addr", "", "B.14"),
)
"""Operation, field ("" for any), fact that must be so, section: why a returned field differs."""


def why(op: str, recorded: int, actual: int, facts: Collection[str], slugs: Collection[str]) -> str:
    """Return the reason for a difference between two replies, :data:`UNEXPLAINED` when no rule fits.

    Args:
        op: the operation.
        recorded: the recorded reply: 0, a positive answer, or a negative errno.
        actual: the emulator's.
        facts: what was so when the call was made.
        slugs: the pieces of the kernel.
    """
    for rule in RULES:
        applies = rule.fact in ("", *facts) and rule.piece in ("", *slugs)
        if applies and op in rule.ops.split() and rule.recorded(recorded) and rule.actual(actual):
            return rule.why
    return UNEXPLAINED


def why_out(op: str, field: str, facts: Collection[str]) -> str:
    """Return the reason for a difference in a field that was copied back."""
    for about, named, fact, section in OUT_RULES:
        if op == about and named in ("", field) and (not fact or fact in facts):
            return section
    return UNEXPLAINED
