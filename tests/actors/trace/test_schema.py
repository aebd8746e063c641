from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actors.trace import schema as s
from actors.trace.reference import descriptions, json_schema, reference

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("kind", s.LINE_TYPES, ids=s.EVENT_NAMES)
def test_every_field_is_described(kind):
    assert set(kind.__struct_fields__) == set(descriptions(kind))


def test_the_reference_names_every_event_and_field():
    page = reference()
    for kind in s.LINE_TYPES:
        assert f"## `{s.event_name(kind)}`" in page
        assert all(f"| `{name}` |" in page for name in kind.__struct_fields__)
    assert "Any" not in page


def test_the_page_in_the_docs_is_the_generated_one():
    assert (DOCS / "log-format.md").read_text() == reference()


def test_a_json_schema_can_be_had():
    assert set(s.EVENT_NAMES) <= set(json_schema()["discriminator"]["mapping"])


def test_an_event_survives_the_way_through_json():
    event = s.Access(step=3, thread="qemu", object="mm:0", field="mm_count", before=1, after=0, write=True)
    assert msgspec.json.decode(msgspec.json.encode(event), type=s.Line) == event


def test_values_that_say_nothing_are_left_out_and_zero_is_not():
    text = msgspec.json.encode(s.Access(step=0, thread="a", object="x", before=1, after=0)).decode()
    assert '"after":0' in text
    assert "held" not in text
    assert "cause" not in text


def test_kernel_messages_are_loud():
    assert [kind.level for kind in s.KERNEL_MESSAGES] == ["warning", "warning", "error", "error"]
