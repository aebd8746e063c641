"""``tcemu log``: from one log to the cause."""

from __future__ import annotations

import click

from actors.cli.logask import diff_command, grep_command, tree_command, why_command
from actors.cli.logread import load
from actors.cli.logtell import (
    check_command,
    dmesg_command,
    ftrace_command,
    lnav_command,
    schema_command,
    stats_command,
)
from actors.cli.options import NamedGroup

EPILOG = """\b
Examples:
  tcemu log tree run.jsonl                      what led to what
  tcemu log why region:0 run.jsonl              who took and dropped its references
  tcemu log grep --object mm:0 --event access run.jsonl
  tcemu log diff good.jsonl bad.jsonl           where two runs part
  tcemu log tree --operation MAP_DMA run.jsonl  one system call
  zcat run.jsonl.gz | tcemu log dmesg -         the kernel's view
  tcemu log check run.jsonl                     whether everything in it fits

\b
FILE is a log, as the option --log of stress, replay and play or a MachineLog writes it; it may be
packed with gzip, and - is standard input. `tcemu log schema` explains every event and field.
"""


@click.group("log", cls=NamedGroup, epilog=EPILOG)
def command() -> None:
    """Read the log of a run: causes, histories, differences.

    There is no clock in a log: the number of an event is its time.
    """


for each in (
    tree_command,
    grep_command,
    why_command,
    diff_command,
    stats_command,
    dmesg_command,
    ftrace_command,
    check_command,
    lnav_command,
    schema_command,
):
    command.add_command(each)

__all__ = ["command", "load"]
