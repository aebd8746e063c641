from __future__ import annotations

import io
import json
import logging

import structlog
from structlog.testing import CapturingLogger

from actors.trace.jsonl import checked
from actors.trace.machinelog import MachineLog
from actors.trace.query import LogCapture
from actors.trace.schema import End, Header, Misuse, Warn


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_the_console_is_readable_at_100_columns(life):
    output = io.StringIO()
    await life(MachineLog(output, level="debug"))
    lines = output.getvalue().splitlines()
    assert len(lines) > 100
    assert max(map(len, lines)) <= 100
    assert "\033" not in output.getvalue()
    assert any("mm:0.locked_vm 0 → 16" in line for line in lines)


async def test_only_a_terminal_is_coloured_and_no_color_is_honoured(life, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    await life(MachineLog(coloured))
    monkeypatch.setenv("NO_COLOR", "1")
    await life(MachineLog(plain))
    assert "\033[" in coloured.getvalue()
    assert "\033[" not in plain.getvalue()


async def test_the_level_chooses(life):
    sizes = []
    for level in ("debug", "info", "error"):
        output = io.StringIO()
        await life(MachineLog(output, level=level))
        sizes.append(len(output.getvalue().splitlines()))
    assert sizes[0] > sizes[1] > sizes[2] == 0


async def test_json_is_a_whole_log(life):
    output = io.StringIO()
    await life(MachineLog(output, form="json"), kernel="v6.12")
    lines = list(checked(io.BytesIO(output.getvalue().encode()), "log"))
    assert isinstance(lines[0], Header)
    assert lines[0].kernel == "v6.12"
    assert lines[0].switches
    assert isinstance(lines[-1], End)
    assert lines[-1].step == len(lines) - 2


async def test_it_says_what_a_capture_sees(life):
    output, capture = io.StringIO(), LogCapture()
    await life(MachineLog(output, form="json"))
    await life(capture)
    lines = list(checked(io.BytesIO(output.getvalue().encode()), "log"))
    assert lines[1:-1] == capture.events()


async def test_processors_of_ones_own(life):
    logger = CapturingLogger()
    log = MachineLog(processors=[structlog.processors.add_log_level], logger=logger, test="t1")
    await life(log)
    fields = [call.kwargs for call in logger.calls]
    assert all(field["test"] == "t1" and field["level"] == "info" for field in fields)
    assert {"state", "start", "request"} <= {field["event"] for field in fields}
    assert all("_record" not in field for field in fields)
    json.dumps(fields)


async def test_context_can_be_bound_later(life):
    logger = CapturingLogger()
    log = MachineLog(processors=[structlog.processors.add_log_level], logger=logger)
    log.bind(phase="second")
    await life(log)
    assert logger.calls[0].kwargs["phase"] == "second"


async def test_the_standard_library(life, caplog):
    with caplog.at_level(logging.INFO, "tcemu"):
        await life(MachineLog(logger=logging.getLogger("tcemu")))
    record = next(r for r in caplog.records if "VFIO_IOMMU_MAP_DMA" in r.getMessage())
    assert record.tcemu["args"]["cmd"] == "VFIO_IOMMU_MAP_DMA"


async def test_the_users_own_structlog_is_left_alone(life):
    before = structlog.get_config()
    await life(MachineLog(io.StringIO()))
    assert not structlog.is_configured()
    assert structlog.get_config() == before


def test_kernel_messages_have_their_levels():
    assert (Warn.level, Misuse.level) == ("warning", "warning")
