"""The pytest plugin as its users have it: each test here runs pytest in a process of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from actors.testing.options import FAILURES, JSON, KERNEL, LOGS, OPTIONS, REPLAY, SCHEDULES, SEED, STRATEGY
from actors.testing.wanted import seed_of
from actors.trace.jsonl import read_log

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
NAMES = {plugin.name for plugin in entry_points(group="pytest11")}

LAZY = """
    import pytest
    from actors import VFIO_SPAPR_TCE_v2_IOMMU

    async def guest(machine):
        qemu = await machine.spawn("qemu")
        ram = await qemu.mmap(1 << 20)
        container = await qemu.open_container()
        await (await qemu.open_group(0)).set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        return qemu

    async def lazy(machine):
        qemu = await guest(machine)

        async def borrow():
            await machine.cpus[1].run(qemu)
            await machine.cpus[1].run_kthread("kworker/1:0")

        async with machine.threads() as threads:
            threads.start("qemu", qemu.exit())
            threads.start("kworker", borrow())
"""
EXPLORED = (
    LAZY
    + """
    @pytest.mark.explore{mark}
    async def test_lazy(machine):
        await lazy(machine)
"""
)
FREE = """
    @pytest.mark.machine(kernel=["v4.9", "fixed"], cpus=3)
    async def test_free(machine, tmp_path, request):
        assert len(machine.cpus) == 3
        qemu = await guest(machine)
        await machine.cpus[1].run(qemu)
        await machine.cpus[1].run_kthread("kworker/1:0")
        await qemu.exit()
        await machine.rcu_barrier()
        pinned = 16 if "v4.9" in request.node.name else 0
        assert machine.memory.pinned_pages == pinned
"""


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def apart(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in a process of its own, with our plugin and those that are named."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for variable in ("PYTEST_ADDOPTS", *(option.variable for option in OPTIONS)):
        monkeypatch.delenv(variable, raising=False)

    def runpytest(*args: object) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "actors.testing.plugin", *map(str, args))

    return runpytest


@pytest.fixture
def run(pytester: pytest.Pytester, apart: Run) -> Run:
    """The same within this process, which is faster."""

    def runpytest(*args: object) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-p", "actors.testing.plugin", *map(str, args))

    return runpytest


def needs(plugin: str, package: str) -> pytest.MarkDecorator:
    """Skip where a plugin of others is not installed."""
    return pytest.mark.skipif(plugin not in NAMES, reason=f"needs {package}")


def told(pytester: pytest.Pytester, file: str = "told.json") -> dict[str, Any]:
    """What the run wrote as JSON, by test."""
    return {each["test"]: each for each in json.loads((pytester.path / file).read_text())["tests"]}


# -- what a failing test says ------------------------------------------------------------------------


def test_a_failure_is_shown_kept_and_replayed(pytester: pytest.Pytester, apart: Run) -> None:
    test = pytester.makepyfile(EXPLORED.format(mark='(kernel=["v4.9", "fixed"], strategy="dpor")'))
    result = apart("--tcemu-json=told.json", "--junitxml=junit.xml")
    result.assert_outcomes(failed=1, passed=1)
    text = result.stdout.str()
    assert "tcemu: seed 0, 200 orders a test, strategy portfolio" in text
    result.stdout.fnmatch_lines(
        ["J-Q1 on v4.9: order * 0 preemptions (seed *)", "*16 pages of region:0*", "  step  scenario*",
         "*calls exit_group", "*J-Q1 broken*", "  mm:0.mm_count is *", "run this order again:"]
    )  # fmt: skip
    seen = told(pytester)
    broken, whole = (seen[f"{test.name}::test_lazy[{kernel}]"] for kernel in ("v4.9", "fixed"))
    assert (broken["outcome"], broken["invariant"], whole["outcome"], whole["complete"]) == (
        "failed", "J-Q1", "passed", True,
    )  # fmt: skip
    assert broken["seed"] == seed_of(0, broken["test"]) != whole["seed"]
    properties = {
        prop.get("name"): prop.get("value")
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
        for prop in case.iter("property")
        if case.get("name") == "test_lazy[v4.9]"
    }
    assert properties["tcemu_seed"] == str(broken["seed"])
    assert properties["tcemu_failure_file"] == broken["failure_file"]

    line, *_ = [line for line in text.splitlines() if line.startswith("  pytest ")]
    again = apart(*shlex.split(line)[1:])
    again.assert_outcomes(failed=1)
    assert f"replaying {broken['failure_file']}" in again.stdout.str()
    table = [row for row in text.splitlines() if row[:6].strip().isdigit()]
    assert table
    assert [row for row in again.stdout.str().splitlines() if row[:6].strip().isdigit()] == table


def test_a_replay_that_no_longer_fits_says_so(pytester: pytest.Pytester, run: Run) -> None:
    test = pytester.makepyfile(EXPLORED.format(mark='(kernel="v4.9")'))
    run().assert_outcomes(failed=1)
    (file,) = (pytester.path / ".tcemu" / "failures").iterdir()
    test.write_text(test.read_text().replace("qemu.exit()", "qemu.kill()"))
    run("--tcemu-replay", file).stdout.fnmatch_lines(["*the recording does not fit*"])
    test.write_text(test.read_text().replace("test_lazy", "test_renamed"))
    other = run("--tcemu-replay", file)
    assert other.ret == pytest.ExitCode.USAGE_ERROR
    other.stderr.fnmatch_lines(["ERROR: *test_lazy?v4.9?, which is not collected"])


def test_a_failed_assertion_is_a_finding_like_any_other(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        LAZY
        + """
    @pytest.mark.explore(strategy="dpor")
    async def test_first(machine):
        order = []

        async def one(name):
            await machine.cpus[0].idle()
            order.append(name)

        async with machine.threads() as threads:
            threads.start("a", one("a"))
            threads.start("b", one("b"))
        assert order[0] == "a"

    @pytest.mark.explore
    async def test_lookup(machine):
        {}["nothing"]

    @pytest.mark.explore
    async def test_runtime_error(machine):
        raise RuntimeError("boom")

    @pytest.mark.explore
    async def test_expected(machine):
        pytest.xfail("not yet")

    @pytest.mark.explore
    async def test_skipped(machine):
        pytest.skip("not here")
    """
    )
    result = run()
    result.assert_outcomes(failed=3, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["expectation on fixed: *preemption* (seed *)", "*py:*: assert 'b' == 'a'*"])
    result.stdout.fnmatch_lines(["expectation on fixed: order 1, *", "*KeyError: 'nothing'"])
    result.stdout.fnmatch_lines(["expectation on fixed: order 1, *", "*RuntimeError: boom"])


IN_A_THREAD = (
    LAZY
    + """
    @pytest.mark.explore(strategy="dpor")
    @pytest.mark.parametrize("what", ["fail", "assert", "raises", "skip", "xfail"])
    async def test_explored(machine, what):
        await outcome_in_a_thread(machine, what)

    @pytest.mark.parametrize("what", ["fail", "assert", "raises", "skip", "xfail"])
    async def test_free(machine, what):
        await outcome_in_a_thread(machine, what)

    async def outcome_in_a_thread(machine, what):
        before = []

        async def first():
            await machine.cpus[0].idle()
            before.append(1)

        async def second():
            await machine.cpus[0].idle()
            if what == "skip":
                pytest.skip("not here")
            if what == "xfail":
                pytest.xfail("not yet")
            if before and what == "fail":
                pytest.fail("it came second")
            if what == "assert":
                assert not before
            if before and what == "raises":
                with pytest.raises(ValueError):
                    pass

        async with machine.threads() as threads:
            threads.start("first", first())
            if machine.core.controlled:
                threads.start("second", second())
        if not machine.core.controlled:
            async with machine.threads() as threads:
                threads.start("second", second())
"""
)


def test_outcomes_of_pytest_inside_threads(pytester: pytest.Pytester, run: Run) -> None:
    test = pytester.makepyfile(IN_A_THREAD)
    source = test.read_text().splitlines()
    result = run("-rsx")
    result.assert_outcomes(failed=6, skipped=2, xfailed=2)
    for what, words in (("pytest.fail(", "it came second"), ("assert not before", "assert not [[]1]"),
                        ("with pytest.raises", "DID NOT RAISE ValueError")):  # fmt: skip
        line = next(number for number, text in enumerate(source, 1) if what in text)
        result.stdout.fnmatch_lines(
            ["expectation on fixed: order *", f"  {test.name}:{line}: {words}", "*", "  step  scenario*",
             "*not as expected", "*", "run this order again:", "  pytest *--tcemu-replay=*"]
        )  # fmt: skip
        result.stdout.fnmatch_lines([f"{test.name}:{line}: *"])
    skipped = next(number for number, text in enumerate(source, 1) if "pytest.skip(" in text)
    result.stdout.fnmatch_lines([f"SKIPPED [[]2] {test.name}:{skipped}: not here"])
    text = result.stdout.str()
    lines = [line for line in text.splitlines() if line.startswith("  pytest ") and "raises" in line]
    again = run(*shlex.split(lines[0])[1:])
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*DID NOT RAISE ValueError"])


def test_the_log_of_a_failing_order_is_kept_where_it_is_wanted(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(EXPLORED.format(mark='(kernel="v4.9", strategy="dpor")'))
    result = run("--tcemu-logs=logs")
    drawn = "  tcemu draw logs/*.jsonl -o logs/*.html"
    result.stdout.fnmatch_lines(["run this order again:", "*", "look at it:", drawn])
    (file,) = (pytester.path / "logs").iterdir()
    log = read_log(file)
    assert log.end is not None and log.end.invariant == "J-Q1"
    assert log.header.kernel == "v4.9" and log.header.strategy == "dpor"
    assert {event.thread for event in log.events} >= {"qemu", "kworker", "scenario"}
    (pytester.path / "taken").touch()
    result = run("--tcemu-logs=taken")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["J-Q1 on v4.9: *", "run this order again:", "its log is not kept: *taken*"])


@pytest.mark.parametrize("cache", [(), ("-p", "no:cacheprovider")], ids=["cache", "no cache"])
def test_what_failed_runs_first(pytester: pytest.Pytester, run: Run, cache: tuple[str, ...]) -> None:
    test = pytester.makepyfile(EXPLORED.format(mark='(kernel=["fixed", "v4.9"], schedules=30)'))
    first = run(*cache, "-v", "--tcemu-json=told.json")
    assert (pytester.path / ".tcemu" / "pytest-failed.json").exists() is bool(cache)
    again = run(*cache, "-v", "--tcemu-json=told.json")
    for result, names in ((first, ("fixed", "v4.9")), (again, ("v4.9", "fixed"))):
        result.assert_outcomes(failed=1, passed=1)
        lines = [line for line in result.stdout.lines if "test_lazy[" in line and "%]" in line]
        assert [name for line, name in zip(lines, names, strict=True) if f"[{name}]" in line] == list(names)
    assert told(pytester)[f"{test.name}::test_lazy[v4.9]"]["schedules"] == 1
    test.write_text(test.read_text().replace('"v4.9"', '"v4.10"'))
    run(*cache).assert_outcomes(passed=2)


# -- options -----------------------------------------------------------------------------------------

VALUES = {SEED: "7", SCHEDULES: "40", STRATEGY: "pct", KERNEL: "v4.10,v4.9", FAILURES: "kept"}
VALUES |= {JSON: "told.json", LOGS: "logs"}


@pytest.mark.parametrize("form", ["flag", "ini", "environment"])
def test_options(
    pytester: pytest.Pytester, apart: Run, run: Run, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = pytester.makepyfile(EXPLORED.format(mark=""))

    def given(values: dict[Any, str]) -> list[str]:
        if form == "flag":
            return [f"{option.flag}={value}" for option, value in values.items()]
        if form == "ini":
            lines = [f"{option.ini} = {value}" for option, value in values.items()]
            pytester.makeini("[pytest]\n" + "\n".join(lines))
        for option, value in values.items() if form == "environment" else ():
            monkeypatch.setenv(option.variable, value)
        return []

    result = apart(*given(VALUES))
    result.assert_outcomes(failed=1, passed=1)
    assert "tcemu: seed 7, 40 orders a test, strategy pct, kernel v4.10, v4.9" in result.stdout.str()
    seen = told(pytester)
    whole, broken = seen[f"{test.name}::test_lazy[v4.10]"], seen[f"{test.name}::test_lazy[v4.9]"]
    assert (whole["seed"], whole["schedules"], whole["strategy"]) == (seed_of(7, whole["test"]), 40, "pct")
    assert broken["failure_file"].startswith("kept/")
    assert len(list((pytester.path / "logs").iterdir())) == 1
    assert {option for option in OPTIONS if option not in VALUES} == {REPLAY}
    run(*given({**VALUES, REPLAY: broken["failure_file"]})).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--tcemu-seed=x"], "ERROR: --tcemu-seed: found 'x', expected a number from 0 on"),
        (["--tcemu-replay=none.json"], "ERROR: *none.json: No such file or directory"),
        (["--tcemu-kernel=v4.99"], "*test_lazy: no kernel 'v4.99'; did you mean v4.9?*"),
        (["--tcemu-strategy=dpro"], "*test_lazy: no strategy 'dpro'; did you mean dpor?"),
    ],
)
def test_bad_options(pytester: pytest.Pytester, run: Run, args: list[str], complaint: str) -> None:
    pytester.makepyfile(EXPLORED.format(mark=""))
    result = run(*args)
    assert result.ret != 0
    assert "Traceback" not in result.stdout.str()
    (result.stderr if complaint.startswith("ERROR") else result.stdout).fnmatch_lines([complaint])


def test_bad_marks(pytester: pytest.Pytester, run: Run) -> None:
    for name, mark, args in (("one", "(kernels='x')", "machine"), ("two", "", "tmp_path")):
        pytester.makepyfile(
            **{f"test_{name}": f"import pytest\n@pytest.mark.explore{mark}\nasync def test_it({args}): pass"}
        )
    pytester.makepyfile(test_three="def test_sync(machine): pass")
    machine = "import pytest\n@pytest.mark.machine(cpu=3)\nasync def test_it(machine): pass"
    pytester.makepyfile(
        test_four=machine, test_five=machine.replace("machine(cpu=3", "explore(schedules=0", 1)
    )
    pytester.makepyfile(test_six="def test_it(explore): explore('map-vs-unregistr')")
    pytester.makepyfile(test_seven=machine.replace("machine(cpu=3", "explore(strategy='foo'", 1))
    pytester.makepyfile(test_eight=machine.replace("machine(cpu=3", "explore(expect={'v4.9': 'J-ZZ'}", 1))
    pytester.makepyfile(test_nine="def test_it(explore): explore('map-vs-unregister', strategy='foo')")
    result = run("--continue-on-collection-errors")
    result.stdout.fnmatch_lines_random(
        [
            "*explore: found kernels, expected expect, faults, kernel, schedules, seed, strategy by name",
            "*explore: expected an async function that takes `machine`",
            "*test_sync: machine: expected an async test",
            "*test_it: found cpu, expected kernel or a field of MachineSpec; did you mean cpus?",
            "*test_it: schedules: found 0, expected a number from 1 on",
            "*test_it: no strategy 'foo'; there are portfolio, *",
            "*test_it: expect: found 'J-ZZ', expected one of ok, *",
            "explore: no strategy 'foo'; there are portfolio, *",
            "no file and no built-in scenario 'map-vs-unregistr'; did you mean map-vs-unregister?",
        ]
    )


# -- company -----------------------------------------------------------------------------------------


def test_alone(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(EXPLORED.format(mark="") + FREE)
    run().assert_outcomes(passed=3)


@pytest.mark.parametrize("mode", ["true", "false"])
@needs("trio", "pytest-trio")
def test_with_pytest_trio(pytester: pytest.Pytester, run: Run, mode: str) -> None:
    pytester.makeini(f"[pytest]\ntrio_mode = {mode}\n")
    pytester.makepyfile(
        EXPLORED.format(mark="")
        + FREE
        + """
    @pytest.mark.trio
    async def test_clock(machine, nursery, autojump_clock):
        import trio
        nursery.start_soon(trio.sleep, 1000)
        await (await guest(machine)).exit()

    @pytest.fixture
    async def asynchronous(): return 1

    @pytest.mark.trio
    @pytest.mark.explore
    async def test_async_fixture(machine, asynchronous): pass
    """
    )
    result = run("-p", "trio")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["explore: asynchronous is an async fixture; *"])


@needs("xdist", "pytest-xdist")
def test_with_xdist_every_test_has_its_own_seed(pytester: pytest.Pytester, run: Run, apart: Run) -> None:
    text = EXPLORED.format(mark="(kernel=['v4.9', 'fixed'], strategy='random', schedules=20)")
    pytester.makepyfile(**{f"test_{number}": text for number in range(4)})
    plain = ("--tcemu-seed=5", "-p", "no:cacheprovider")
    apart("-p", "xdist", "-n", "4", *plain, "--tcemu-json=spread.json").assert_outcomes(failed=4, passed=4)
    (pytester.path / ".tcemu" / "pytest-failed.json").unlink()
    run(*plain, "--tcemu-json=told.json").assert_outcomes(failed=4, passed=4)
    seen = told(pytester, "spread.json")
    assert len({each["seed"] for each in seen.values()}) == 8
    assert {name: each["seed"] for name, each in seen.items()} == {name: seed_of(5, name) for name in seen}
    assert seen == told(pytester)


@needs("randomly", "pytest-randomly")
def test_with_randomly_the_seeds_stay_the_same(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(EXPLORED.format(mark="(kernel=['v4.10', 'v4.9', 'fixed'])"))
    seen = []
    for seed in (1, 2):
        randomly = ("-p", "randomly", "-p", "no:cacheprovider")
        result = run(*randomly, f"--randomly-seed={seed}", "--tcemu-json=told.json")
        result.assert_outcomes(failed=1, passed=2)
        seen.append(told(pytester))
        (pytester.path / ".tcemu" / "pytest-failed.json").unlink()
    assert seen[0] == seen[1]


def test_nothing_is_imported_where_nothing_is_used(pytester: pytest.Pytester, apart: Run) -> None:
    pytester.makepyfile("""
    import sys

    def test_plain():
        heavy = {"trio", "numpy", "msgspec", "structlog", "click", "actors.machine", "actors.explore"}
        assert "actors.testing.plugin" in sys.modules
        assert not heavy & set(sys.modules)
    """)
    apart().assert_outcomes(passed=1)


# -- the fixture explore -----------------------------------------------------------------------------


def test_the_fixture_explores_programs_and_scenarios(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        LAZY
        + """
    def test_found(explore):
        report = explore("exit-with-lazy-borrower", kernel="v4.9", expect="J-Q1")
        assert report.failure is not None
        assert explore(lazy, expect={"v4.9": "J-Q1"}).verdict == "ok"

    def test_not_found(explore):
        explore(lazy, expect="J-Q1", schedules=3)

    def test_broken(explore):
        explore(lazy, kernel="v4.9")
    """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["lazy on fixed: expected J-Q1, but * ok*", "J-Q1 on v4.9: order *"])
    line, *_ = [line for line in result.stdout.lines if line.startswith("  pytest ")]
    run(*shlex.split(line)[1:]).assert_outcomes(failed=1)


def test_failure_points_are_choices(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        LAZY
        + """
    from actors import KernelError

    @pytest.mark.explore(faults=1, strategy="dpor", schedules=2000)
    async def test_one_failure(machine):
        try:
            await guest(machine)
        except KernelError as refused:
            assert refused.operation != "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"
    """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["expectation on fixed: *", "*fails*", "run this order again:"])
    line, *_ = [line for line in result.stdout.lines if line.startswith("  pytest ")]
    run(*shlex.split(line)[1:]).assert_outcomes(failed=1)
