"""What is known of a backend: its parts put together, and read again from files of all versions."""

from dataclasses import fields
from pathlib import Path

import pytest

from bench.contract.backend_facts import BackendFacts

WHOLE = BackendFacts(
    summary="s",
    sets=("default",),
    variant_of="a",
    differs="d",
    size_bytes=3,
    versions={"numpy": "2.4"},
    hashes="checked",
    server_cpus=(0, 1),
    local_cpus=(0,),
    instances={"1": {"addresses": ["127.0.0.1:80"], "cpus": [0]}},
    env={"A": "1"},
    command=("serve",),
    attached={"rest": {"url": "https://h/", "connect_s": 0.001}},
    venv="v",
    image="i:1",
    image_id="sha256:0",
    image_digest="i@sha256:0",
    base_image="b:1",
    network="egress",
    way_out="anywhere",
    unmet_limits=("no swap limit",),
    prepare_s=0.5,
    start_s=1,
    exports={"nnef": {"max_abs_diff": 1e-6}},
    lines_of_code=0,
    lines_of_configuration=7,
    shared_lines={"serving/wire.py": 60},
    idle_cpu_fraction=0.2,
    paused_while_idle=True,
    paused_cpu_fraction=0.0,
    pause_failed="p",
    other={"colour": ["red"]},
)


def test_what_is_written_is_read_again() -> None:
    """Every field, the unknown ones too."""
    assert all(getattr(WHOLE, each.name) != each.default for each in fields(BackendFacts))
    assert BackendFacts.from_dict(WHOLE.as_dict()) == WHOLE
    assert WHOLE.as_dict()["colour"] == ["red"]


def test_what_is_not_known_is_not_written() -> None:
    """And what is known not to be is written as null."""
    assert BackendFacts().as_dict() == {}
    assert BackendFacts(summary="s").as_dict() == {"summary": "s"}
    assert BackendFacts(network="internal").as_dict() == {"network": "internal", "way_out": None}
    assert BackendFacts(image="i").as_dict() == {"image": "i", "image_digest": None, "base_image": None}
    assert BackendFacts(paused_while_idle=False).as_dict() == {"idle_cpu_fraction": None, "paused_while_idle": False}


def test_the_newer_of_two_parts_holds() -> None:
    """What it does not know stays; what it knows not to be does not."""
    older = BackendFacts(size_bytes=1, network="egress", way_out="anywhere", other={"a": 1})
    newer = BackendFacts(size_bytes=2, network="internal", start_s=0.5, other={"b": 2})
    both = BackendFacts(size_bytes=2, network="internal", way_out=None, start_s=0.5, other={"a": 1, "b": 2})
    assert older.merged(newer) == both


@pytest.mark.parametrize("name", [each.name for each in fields(BackendFacts) if each.name != "other"])
def test_what_has_another_type_is_kept_and_not_understood(name: str) -> None:
    """A file may have been edited, or written by another version."""
    values: tuple[object, ...] = ([{}], {"a": [1]}, {"a": {}}, "text", 3, 0.5, True)
    for value in values:
        if not isinstance(value, type(getattr(WHOLE, name))):
            facts = BackendFacts.from_dict({name: value})
            assert name in facts.other or facts.as_dict()[name] == value
            assert facts.as_dict()[name] == value


def test_results_md_names_every_field() -> None:
    """In the row on `backends`."""
    text = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| `backends` |")]
    assert [each.name for each in fields(BackendFacts) if each.name != "other" and f"`{each.name}`" not in row] == []


def test_anything_but_an_object_is_refused() -> None:
    """It says what it saw."""
    with pytest.raises(TypeError, match="expected an object, seen '3'"):
        BackendFacts.from_dict(3)  # type: ignore[arg-type]
