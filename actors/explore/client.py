"""A recorded client that is killed: its calls are played once, the orders of its end are searched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from actors.check import Oracles
from actors.execute.play import killed_client, play_setup
from actors.execute.play.client import ClientExecution
from actors.execute.play.ending import BREAKS
from actors.explore.run import Prepared
from actors.explore.verdicts import OracleMaker, failure_of
from actors.kernel import messages as m
from actors.kernel.composition import Kernel
from actors.machine import Machine
from actors.program import Program, Stream, builtin_streams, load_stream
from actors.trace.header import digest_of


class KilledClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which client, and when it is killed.

    Attributes:
        client: a built-in recorded client, or a file that holds one.
        calls: how many of its calls have been made by then.
        borrow: CPUs on which kernel threads borrow its mm at the kill.
        digest: SHA-256 of what the recorded client does; "" for whichever has that name.
    """

    client: str
    calls: int
    borrow: tuple[int, ...] = (1,)
    digest: str = ""

    @property
    def name(self) -> str:
        """For reports."""
        return f"{Path(self.client).stem}-killed-at-{self.calls}"

    def exact(self) -> KilledClient:
        """The same, with the digest of the recording that there is."""
        return msgspec.structs.replace(self, digest=digest_of(self.stream()))

    @property
    def changed(self) -> bool:
        """Whether there is another recording now than the digest is of."""
        return self.digest not in ("", digest_of(self.stream()))

    def stream(self) -> Stream:
        """The recording.

        Raises:
            ProgramError: the file is not there or malformed.
        """
        return builtin(self.client) if self.client in builtin_streams() else load_stream(self.client)

    def program(self) -> Program:
        """The client's life up to the kill as the setup of a program; its end is what is concurrent.

        Raises:
            ProgramError: the file is not there or malformed.
            ValueError: there are not so many calls, or no such CPU.
        """
        return killed_client(self.stream(), self.calls, self.borrow)


@cache
def builtin(client: str) -> Stream:
    """A recording that comes with the package: it never changes, and is asked for at every kill."""
    return load_stream(builtin_streams()[client])


class PreparedClient(Prepared):
    """A recorded client, played up to its kill, ready to be torn down in many orders.

    Args:
        killed: which client, and when.
        kernel: what it runs on.
        oracles: who looks while it is torn down; nobody looks before.
    """

    execution: ClientExecution

    def __init__(
        self, killed: KilledClient, kernel: Kernel | str = "fixed", oracles: OracleMaker = Oracles
    ) -> None:
        super().__init__(killed.program(), kernel, oracles)

    def _play_setup(self) -> None:
        try:
            session = play_setup(self.program, self.kernel)
            self.execution = session.execution
            for spec in self.program.threads:
                if spec.actor is not None:
                    session.run(self.execution.call(spec.actor, m.CloneThread(spec.name)))
        except BREAKS as problem:
            self.early = failure_of(problem)
            return
        self.snapshot = session.machine.snapshot()

    def continued(self, machine: Machine) -> ClientExecution:
        """What the client's names stand for on a copy of its machine."""
        execution = ClientExecution(machine)
        execution.take_over(self.execution)
        return execution


__all__ = ["KilledClient", "PreparedClient"]
