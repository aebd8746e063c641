"""A booted machine and the typed async API above the kernel's bytes."""

from actors.machine.machine import Machine, Scenario, Waiting
from actors.machine.process import CpuHandle, Memory, Process
from actors.machine.running import MachineObserver, open_machine
from actors.machine.threads import Threads, foreign, place_of
from actors.machine.vfio import Container, Descriptor, Group

__all__ = [
    "Container",
    "CpuHandle",
    "Descriptor",
    "Group",
    "Machine",
    "MachineObserver",
    "Memory",
    "Process",
    "Scenario",
    "Threads",
    "Waiting",
    "foreign",
    "open_machine",
    "place_of",
]
