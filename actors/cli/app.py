"""The command group: what commands there are, and how their ends become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from actors.cli.exits import ExitCode, problem_of, say
from actors.cli.options import NamedGroup

SUMMARIES = {
    "stress": "Run programs under many orders and faults, and say what breaks.",
    "fuzz": "Generate programs and orders, and keep whatever breaks a kernel.",
    "corpus": "Look at what fuzzing has kept, and tidy it up.",
    "replay": "Run one recorded failure again, exactly.",
    "play": "Play recorded clients, and say what they leave behind.",
    "conform": "Replay vectors of real kernels, and compare every step.",
    "kernels": "List the kernels, or say in what two of them differ.",
    "defects": "List the known defects, or tell the story of one.",
    "log": "Read the log of a run: causes, histories, differences.",
    "draw": "Draw a picture of a run from its log.",
    "completion": "Print the shell completion script.",
}
"""Command -> its summary; a command lives in the module of its name, as ``command``."""

COMPLETE_VARIABLE = "_TCEMU_COMPLETE"

EPILOG = """\b
Examples:
  tcemu stress                                    the main job: everything built in
  tcemu stress --kernel v6.12 --seconds 20        one kernel, bounded
  tcemu conform vectors/*.json                    compare with real kernels
  tcemu play qemu-rtl8139 --kill-at every:100     kill a recorded QEMU at many points
  tcemu defects show unregister-busy-swallowed    the story of a defect

\b
Exit codes: 0 all is well; 1 a violation, mismatch or failed expectation was found;
2 usage or malformed input; 3 a replay diverged; 4 an error of the emulator itself
(TCEMU_TRACEBACK=1 shows where); 130 interrupted, what was found so far is printed.
"""


class LazyGroup(NamedGroup):
    """A group whose commands are imported when they are run; the help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, the main job first."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = import_module(f"actors.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and end."""
    if value:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - not needed otherwise

        try:
            click.echo(f"tcemu {version('tcemu')}")
        except PackageNotFoundError:
            click.echo("tcemu, run from its sources without being installed")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version,
              help="Print the version and exit.")  # fmt: skip
def app() -> None:
    """Emulate the Linux VFIO SPAPR TCE driver, and prove or break its teardown orders.

    Containers, address spaces, processes, CPUs and groups are concurrent actors. Every order in
    which they may run can be searched; an order that breaks the kernel is kept in a small file
    and replayed exactly.
    """


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code; errors are printed."""
    try:
        with app.make_context("tcemu", list(args)) as context:
            code = app.invoke(context)
            sys.stdout.flush()
            return int(code or ExitCode.OK)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as bare:
        bare.show()
        return ExitCode.BAD_INPUT
    except (Exception, KeyboardInterrupt) as error:
        problem = problem_of(error)
        if isinstance(problem.error, OSError):
            forget_output()
        say(problem)
        return problem.code


def forget_output() -> None:
    """Send what is still buffered nowhere: its reader has gone, or there is no room for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Be the command ``tcemu``, with standard output closed, and in a locale without arrows, too."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for as long as the program runs
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        sys.exit(shell_complete(app, {}, "tcemu", COMPLETE_VARIABLE, instruction))
    sys.exit(run(sys.argv[1:]))
