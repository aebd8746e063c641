"""Descriptors and processes: open, close, fork, exec, exit, and what the last close of a file does."""

from __future__ import annotations

from abc import abstractmethod
from errno import EBADF, EBUSY, EMFILE, ENOENT

from actors.linear.model.memory import MemoryCalls
from actors.linear.model.values import (
    Answer,
    Container,
    Dict,
    File,
    Mm,
    Operation,
    Process,
    State,
    Steps,
    Unmodelled,
)

FIRST_FD = 3
MAX_FDS = 4096
GROUP_PATH = "/dev/vfio/"
UNKNOWN = "?"
"""A child whose name is not known, or not yet."""


class FileCalls(MemoryCalls):
    """The part of the model that is about files and processes.

    A call that uses a descriptor is several steps: it finds the file, does its work, and lets go of the
    file, which may have been closed meanwhile and then goes only now.
    """

    # -- descriptors ---------------------------------------------------------------------------

    def install(self, state: State, op: Operation, file: File, fd: int) -> State:
        """Enter a new file under a descriptor."""
        number, process = state.serial, state.processes[op.process]
        state = state._replace(files=state.files.put(number, file), serial=number + 1)
        return state.with_process(
            op.process, fds=process.fds.put(fd, number), promised=process.promised - {fd}
        )

    def sys_open(self, state: State, op: Operation, process: Process, path: str) -> Steps:
        """open: first a descriptor is promised, whatever comes of it."""
        fd = lowest(process)
        if fd < 0:
            return [(state, Answer(fd))]
        return [(state.with_process(op.process, promised=process.promised | {fd}), ("opening", fd, path))]

    def opening(self, state: State, op: Operation, fd: int, path: str) -> Steps:
        """Open a container, a group, ``/dev/null``."""
        if path == "/dev/vfio/vfio":
            number = state.serial
            containers = state.containers.put(number, Container())
            state = state._replace(containers=containers, serial=number + 1)
            return self.opened(state, op, fd, File("container", number))
        if path == "/dev/null":
            return self.opened(state, op, fd, File("null", 0))
        paths = [f"{GROUP_PATH}{index}" for index in range(len(state.groups))]
        if path not in paths:
            return [(state, ("not_opened", fd, -ENOENT))]
        index = paths.index(path)
        if state.groups[index].opened:
            return [(state, ("not_opened", fd, -EBUSY))]
        state = state.with_group(index, opened=True)
        return [(state, ("opened", fd, File("group", index)))]

    def opened(self, state: State, op: Operation, fd: int, file: File) -> Steps:
        """A new file gets the descriptor that was promised."""
        return self.ended(self.install(state, op, file, fd), op, Answer(fd))

    def not_opened(self, state: State, op: Operation, fd: int, error: int) -> Steps:
        """The descriptor is free again."""
        promised = state.processes[op.process].promised - {fd}
        return self.ended(state.with_process(op.process, promised=promised), op, Answer(error))

    def sys_dup(self, state: State, op: Operation, process: Process, fd: int) -> Steps:
        """dup: another descriptor of the same file."""
        number = process.fds.get(fd)
        if number is None:
            return [(state, Answer(-EBADF))]
        return [(self.held(state, number), ("duplicated", number))]

    def duplicated(self, state: State, op: Operation, number: int) -> Steps:
        """The file that dup has found gets its second descriptor, whatever became of the first."""
        process = state.processes[op.process]
        fds, fd = process.fds, lowest(process)
        if fd < 0:
            return [(state, ("let_go", (number,), Answer(fd)))]
        return self.ended(state.with_process(op.process, fds=fds.put(fd, number)), op, Answer(fd))

    def sys_cloexec(self, state: State, op: Operation, process: Process, fd: int) -> Steps:
        """fcntl(F_SETFD, FD_CLOEXEC)."""
        if fd not in process.fds:
            return [(state, Answer(-EBADF))]
        return [(state.with_process(op.process, cloexec=process.cloexec | {fd}), Answer(0))]

    def sys_close(self, state: State, op: Operation, process: Process, fd: int) -> Steps:
        """close: the descriptor goes first, then the file, if nobody else uses it."""
        number = process.fds.get(fd)
        if number is None:
            return [(state, Answer(-EBADF))]
        fds, cloexec = process.fds.drop(fd), process.cloexec - {fd}
        state = state.with_process(op.process, fds=fds, cloexec=cloexec)
        return [(state, ("let_go", (number,), Answer(0)))]

    # -- references to files -------------------------------------------------------------------

    def held(self, state: State, number: int) -> State:
        """One reference more to a file."""
        file = state.files[number]
        return state._replace(files=state.files.put(number, file._replace(refs=file.refs + 1)))

    def dropped(self, state: State, number: int) -> State:
        """One reference less; the last one closes the file."""
        file = state.files[number]
        if file.refs > 1:
            return state._replace(files=state.files.put(number, file._replace(refs=file.refs - 1)))
        state = state._replace(files=state.files.drop(number))
        if file.kind == "container":
            return self.without_container(state, file.target)
        if file.kind == "group":
            state = self.leave_container(state, file.target)
            return state.with_group(file.target, opened=False)
        if file.kind == "device":
            state = state.with_group(file.target, devices=state.groups[file.target].devices - 1)
            assert file.behind is not None
            return self.dropped(state, file.behind)
        return state

    def without_container(self, state: State, container: int) -> State:
        """Forget a container that no file and no group refers to."""
        used = any(f.kind == "container" and f.target == container for f in state.files.values())
        if used or state.containers[container].groups:
            return state
        return state._replace(containers=state.containers.drop(container))

    @abstractmethod
    def leave_container(self, state: State, group: int) -> State:
        """A group leaves its container, if it is in one."""

    def let_go(self, state: State, op: Operation, files: tuple[int, ...], answer: Answer) -> Steps:
        """Let go of the files that a call has used, one after another; then it is done."""
        state = self.dropped(state, files[0])
        if files[1:]:
            return [(state, ("let_go", files[1:], answer))]
        return self.ended(state, op, answer)

    # -- the end of calls and processes --------------------------------------------------------

    def ended(self, state: State, op: Operation, answer: Answer) -> Steps:
        """A call has done its work; the last one of an exiting process closes what that has open."""
        process = state.processes[op.process]
        state = state.with_process(op.process, calls=process.calls - 1)
        if process.exiting and process.calls == 1 and process.fds:
            return [(state, ("closing", answer))]
        return [(state, answer)]

    def closing(self, state: State, op: Operation, answer: Answer) -> Steps:
        """Close one of the descriptors of a process that ends; the order is not promised."""
        fds = state.processes[op.process].fds
        if not fds:
            return [(state, answer)]
        steps: Steps = []
        for fd, number in fds.items():
            after = state.with_process(op.process, fds=fds.drop(fd))
            step = (self.dropped(after, number), ("closing", answer))
            if state.files[number].refs > 1 or state.files[number].kind in ("container", "null"):
                return [step]
            steps.append(step)
        return steps

    def sys_exit(self, state: State, op: Operation, process: Process) -> Steps:
        """exit_group: no further call begins; descriptors are closed when none is under way."""
        return [(state.with_process(op.process, exiting=True), Answer(None))]

    def kill(self, state: State, op: Operation) -> Steps:
        """SIGKILL."""
        process = state.processes.get(op.process)
        if process is None or process.exiting:
            return [(state, Answer(None))]
        state = state.with_process(op.process, exiting=True)
        if process.fds and not process.calls:
            return [(state, ("closing", Answer(None)))]
        return [(state, Answer(None))]

    def spawn(self, state: State, op: Operation) -> Steps:
        """A process with an empty address space starts."""
        number = state.serial
        state = state._replace(
            mms=state.mms.put(number, Mm()),
            processes=state.processes.put(op.process, Process(number)),
            serial=number + 1,
        )
        return [(state, Answer(None))]

    def sys_fork(self, state: State, op: Operation, process: Process, child: str, share: bool) -> Steps:
        """fork, or clone(CLONE_VM): first the address space, then the descriptors."""
        if child == UNKNOWN:
            raise Unmodelled("the name of a child whose parent did not live to hear it")
        mm, number = process.mm, state.serial
        if not share:
            self.enough_for_copies(state, mm)
            vmas = tuple(vma._replace(locked=False) for vma in state.mms[mm].vmas if vma.inherited)
            state = state._replace(mms=state.mms.put(number, Mm(vmas)), serial=number + 1)
            mm = number
        return [(state, ("forked", child, mm))]

    def forked(self, state: State, op: Operation, child: str, mm: int) -> Steps:
        """The child gets copies of all descriptors."""
        process = state.processes[op.process]
        for number in process.fds.values():
            state = self.held(state, number)
        copy = process._replace(mm=mm, exiting=False, calls=0, promised=frozenset())
        state = state._replace(processes=state.processes.put(child, copy))
        return self.ended(state, op, Answer(child))

    def sys_exec(self, state: State, op: Operation, process: Process) -> Steps:
        """execve: a new address space; descriptors stay but those marked."""
        number = state.serial
        closing = [process.fds[fd] for fd in sorted(process.cloexec)]
        kept = Dict({fd: file for fd, file in process.fds.items() if fd not in process.cloexec})
        state = state._replace(mms=state.mms.put(number, Mm()), serial=number + 1)
        state = state.with_process(op.process, mm=number, fds=kept, cloexec=frozenset())
        return [(state, ("let_go", tuple(closing), Answer(0)) if closing else Answer(0))]


def lowest(process: Process) -> int:
    """The lowest descriptor that is neither open nor promised, or -EMFILE."""
    taken = process.fds.keys() | process.promised
    return next((fd for fd in range(FIRST_FD, MAX_FDS) if fd not in taken), -EMFILE)
