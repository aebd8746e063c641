"""The pytest plugin: the fixtures ``machine`` and ``explore``, the marks ``explore`` and ``machine``.

``@pytest.mark.explore`` on an async test runs it in many orders, each on a machine of its own, and the
first order in which it fails is shortened, kept and shown. Without the mark an async test with the
fixture ``machine`` runs once, on a machine that runs freely.

The plugin is loaded wherever tcemu is installed, so what it needs is imported by the first test that
uses it. It knows pytest-trio, pytest-xdist and pytest-randomly only by what they do to the hooks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from inspect import isasyncgen, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, cast

import pytest

from actors.testing.collecting import Collecting
from actors.testing.memory import FailedBefore
from actors.testing.options import KERNEL, REPLAY, SCHEDULES, SEED, STRATEGY, Options, add_options

if TYPE_CHECKING:
    from _pytest.fixtures import SubRequest

    from actors.machine import Machine
    from actors.testing.explored import Explorer
    from actors.testing.failures import FailingOrder

OPTIONS = pytest.StashKey[Options]()
MEMORY = pytest.StashKey[FailedBefore]()
ORDER: pytest.StashKey[FailingOrder] = pytest.StashKey()
"""The order to be run again, if one was asked for."""
FUNCTION: pytest.StashKey[Any] = pytest.StashKey()
MARKS = (
    "explore(strategy, schedules, kernel, seed, faults, expect): run an async test that takes `machine` "
    "in many orders, on each kernel; `faults` failure points may fail in an order; `expect` is what comes "
    "out: ok, a verdict, an invariant, or one of these by kernel",
    "machine(kernel, **changes): kernel, or kernels, and fields of MachineSpec of the fixture `machine`",
)
EXPLORE_KEYS = frozenset({"strategy", "schedules", "kernel", "seed", "faults", "expect"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and remember what failed."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.stash[OPTIONS] = Options(config)
    config.stash[MEMORY] = FailedBefore(config)
    file = config.stash[OPTIONS][REPLAY]
    if file is not None:
        from actors.testing.failures import load_order  # noqa: PLC0415 - only where it is used

        config.stash[ORDER] = load_order(config.invocation_params.dir / file)


def pytest_report_header(config: pytest.Config) -> str:
    """Say what makes the run repeatable."""
    options = config.stash[OPTIONS]
    text = f"tcemu: seed {options[SEED]}, {options[SCHEDULES]} orders a test, strategy {options[STRATEGY]}"
    if options.asked(KERNEL):
        text += f", kernel {', '.join(options[KERNEL])}"
    return text + (f", replaying {options[REPLAY]}" if options[REPLAY] else "")


# -- collection --------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test a kernel."""
    explored = metafunc.definition.get_closest_marker("explore")
    if explored is not None:
        check_explored(metafunc, explored)
    if "tcemu_kernel" not in metafunc.fixturenames:
        return
    options = metafunc.config.stash[OPTIONS]
    own = explored.kwargs.get("kernel") if explored is not None else None
    named = metafunc.definition.get_closest_marker("machine")
    if own is None and named is not None:
        own = named.kwargs.get("kernel")
    if explored is None and named is None and not options.asked(KERNEL):
        return
    from actors.testing.wanted import complaint, composed, unknown_field  # noqa: PLC0415 - only where it is used

    wrong = complaint(explored.kwargs, options) if explored is not None else ""
    wrong = wrong or unknown_field(machine_changes(metafunc.definition))
    if wrong:
        raise refused(metafunc.definition, wrong)
    try:
        kernels = composed(options.kernels(own), metafunc.config.stash.get(ORDER, None))
    except ValueError as problem:
        raise refused(metafunc.definition, str(problem)) from None
    ids = [kernel.name for kernel in kernels]
    metafunc.parametrize("tcemu_kernel", kernels, indirect=True, ids=ids)


def check_explored(metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
    """Refuse a mark, or a function under it, that cannot be explored."""
    test = metafunc.definition
    unknown = sorted(mark.kwargs.keys() - EXPLORE_KEYS)
    if unknown or mark.args:
        what = unknown[0] if unknown else repr(mark.args[0])
        raise refused(test, f"explore: found {what}, expected {', '.join(sorted(EXPLORE_KEYS))} by name")
    if not iscoroutinefunction(metafunc.function) or "machine" not in signature(metafunc.function).parameters:
        raise refused(test, "explore: expected an async function that takes `machine`")


def refused(node: pytest.Item, text: str) -> pytest.Collector.CollectError:
    """An error of what the user wrote, as one line."""
    return pytest.Collector.CollectError(f"{node.nodeid}: {text}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what failed last time first; for a replay, nothing but the test of that order."""
    config.stash[MEMORY].first(items)
    order = config.stash.get(ORDER, None)
    if order is None:
        return
    others = [item for item in items if item.nodeid != order.test]
    items[:] = [item for item in items if item.nodeid == order.test]
    config.hook.pytest_deselected(items=others)
    if not items:
        raise pytest.UsageError(
            f"{config.stash[OPTIONS][REPLAY]} is an order of {order.test}, which is not collected"
        )


# -- fixtures ----------------------------------------------------------------------------------------


@pytest.fixture
def tcemu_kernel(request: pytest.FixtureRequest) -> Any:
    """The kernel of this test."""
    return getattr(request, "param", "fixed")


@pytest.fixture
async def machine(request: pytest.FixtureRequest, tcemu_kernel: Any) -> AsyncIterator[Machine]:
    """A booted machine; ends with the test."""
    async with Unopened(request.node, tcemu_kernel).open() as booted:
        yield booted


class Unopened:
    """A machine to be opened by whoever runs the test."""

    def __init__(self, item: pytest.Item, kernel: Any) -> None:
        self.item = item
        self.kernel = kernel

    def open(self) -> AbstractAsyncContextManager[Machine]:
        """Boot it; it ends with the block."""
        from actors.machine import open_machine  # noqa: PLC0415 - only where it is used

        return open_machine(self.kernel, **machine_changes(self.item))


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Unopened | None:
    """Leave the machine unopened, unless pytest-trio is there to open it for the test."""
    if fixturedef.argname != "machine" or getattr(fixturedef.func, "__module__", "") != __name__:
        return None
    item = request.node
    if not iscoroutinefunction(item.function):
        pytest.fail(f"{item.nodeid}: machine: expected an async test", pytrace=False)
    with_trio = item.config.pluginmanager.hasplugin("trio") and item.get_closest_marker("trio")
    if with_trio and not item.get_closest_marker("explore"):
        return None
    unopened = Unopened(item, request.getfixturevalue("tcemu_kernel"))
    fixturedef.cached_result = (unopened, fixturedef.cache_key(cast("SubRequest", request)), None)
    return unopened


@pytest.fixture
def explore(request: pytest.FixtureRequest, tcemu_kernel: Any) -> Explorer:
    """Search the orders of a program or a scenario: ``explore(subject, kernel="v4.9", expect="J-Q1")``.

    The test fails unless what is expected comes out; the report is returned.
    """
    from actors.testing.explored import Explorer  # noqa: PLC0415 - only where it is used

    return Explorer(request.node, request.config.stash[OPTIONS], tcemu_kernel, {})


def machine_changes(item: pytest.Item) -> dict[str, Any]:
    """The fields of the machine that the mark ``machine`` changes."""
    mark = item.get_closest_marker("machine")
    return {key: value for key, value in mark.kwargs.items() if key != "kernel"} if mark else {}


# -- running -----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keep the test function as it is written: other plugins wrap it."""
    item.stash[FUNCTION] = getattr(item, "obj", None)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run explored tests in many orders, and others under trio if nobody else does."""
    function = pyfuncitem.stash.get(FUNCTION, None) or pyfuncitem.obj
    wanted = signature(function).parameters
    given = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    mark = pyfuncitem.get_closest_marker("explore")
    if mark is not None and "machine" in wanted:
        from actors.testing.explored import Explorer  # noqa: PLC0415 - only where it is used

        del given["machine"]
        refuse_async(given)
        kernel: Any = pyfuncitem.funcargs["tcemu_kernel"]
        options = pyfuncitem.config.stash[OPTIONS]
        Explorer(pyfuncitem, options, kernel, mark.kwargs).test(partial(function, **given))
        return True
    unopened = given.pop("machine", None)
    if isinstance(unopened, Unopened):
        run_free(partial(function, **given), unopened)
        return True
    return None


def refuse_async(given: dict[str, Any]) -> None:
    """Refuse fixtures that need an event loop: an explored test runs without one."""
    for name, value in given.items():
        if isasyncgen(value) or type(value).__name__ == "TrioFixture":
            pytest.fail(
                f"explore: {name} is an async fixture; besides machine only others can be used", False
            )


def run_free(test: Callable[..., Any], unopened: Unopened) -> None:
    """Run an async test under trio, with its machine open."""
    import trio  # noqa: PLC0415 - only where it is used

    async def main() -> None:
        async with unopened.open() as booted:
            await test(machine=booted)

    trio.run(main)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to collect what comes out, unless this is a worker of pytest-xdist: its results go elsewhere."""
    config = session.config
    if not hasattr(config, "workerinput"):
        collecting = Collecting(config, config.stash[OPTIONS], config.stash[MEMORY])
        config.pluginmanager.register(collecting, "tcemu-collecting")
