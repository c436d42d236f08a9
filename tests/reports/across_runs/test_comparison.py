"""Two runs: a change counts only beyond both intervals and what the instruments changed by; nothing is dropped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.contract.errors import BadInput
from bench.contract.records import Record, Verdict
from reports.__main__ import main
from reports.across_runs.comparison import BETTER, CANNOT_TELL, WORSE, compare
from reports.renderers.html import render_page
from reports.renderers.markdown import render_comparison
from reports.store.store import StoredRun
from tests.reports.blocks import rows_of
from tests.reports.pages import Page, markdown_tables
from tests.reports.records import NASTY, a_record, a_run, a_stored_run, finished, unmeasured


def cell(backend: str, speed: float, spread: float = 0.01, **changes: Any) -> Record:
    low, high = speed * (1 - spread), speed * (1 + spread)
    values: dict[str, Any] = {"images_per_s": speed, "images_per_s_low": low, "images_per_s_high": high}
    return a_record(backend=backend, **{**values, **changes})


def instruments(null: float = 7000.0, reference: float = 9000.0) -> list[Record]:
    shared: dict[str, Any] = {"rank": None, "ratio": None}
    return [cell("null", null, role="ceiling", **shared), cell("reference", reference, role="reference", **shared)]


def stored(records: list[Record], **changes: Any) -> StoredRun:
    return StoredRun(a_run(**changes), tuple(records), {})


def verdicts(before: list[Record], after: list[Record]) -> dict[str, str]:
    comparison = compare(stored(before), stored(after))
    return {row[0]: row[4] for each in comparison.tables for row in rows_of(each.table)}


def test_a_change_beyond_what_the_yardstick_changed_by_is_told() -> None:
    """On a steady machine 20 % are told, 2 % are not."""
    before = [cell("up", 100), cell("down", 100), cell("same", 100), *instruments()]
    after = [cell("up", 120), cell("down", 80), cell("same", 102), *instruments(7010.0, 8990.0)]
    assert verdicts(before, after) == {"up-rest": BETTER, "down-rest": WORSE, "same-rest": CANNOT_TELL}


def test_what_the_machine_did_is_no_change_of_a_server() -> None:
    """All became a third slower, null too: nobody can tell."""
    before = [cell("down", 100), *instruments()]
    after = [cell("down", 67), *instruments(4690.0, 6030.0)]
    assert verdicts(before, after) == {"down-rest": CANNOT_TELL}


def test_without_a_yardstick_interval_or_comparable_verdict_nothing_is_claimed() -> None:
    """The change itself is shown where there is one."""
    before = [cell("one", 100), cell("two", 100), cell("bound", 100), unmeasured("three", "single"), cell("gone", 5)]
    after = [
        cell("one", 200),
        cell("two", 200, verdict=Verdict.WRONG_ANSWERS, reason="17 are wrong"),
        cell("bound", 200, verdict=Verdict.CLIENT_BOUND),
        cell("three", 200),
        cell("new", 5),
    ]
    found = verdicts(before, after)
    assert found == {
        "one-rest": CANNOT_TELL,
        "two-rest": "not compared",
        "bound-rest": CANNOT_TELL,
        "three-rest": "not compared",
        "new-rest": "not compared",
        "gone-rest": "not compared",
    }
    with_yardstick = compare(stored([*before, *instruments()]), stored([*after, *instruments()]))
    rows = {row[0]: row for row in rows_of(with_yardstick.tables[0].table)}
    assert rows["bound-rest"][4] == CANNOT_TELL
    assert rows["gone-rest"][5] == "only in the first run"
    assert rows["new-rest"][5] == "only in the second run"
    assert rows["two-rest"][5] == "VALID before, WRONG_ANSWERS now"


@pytest.mark.parametrize("what", ["dataset", "model"])
def test_runs_of_other_images_or_another_model_are_refused(what: str) -> None:
    """Their speeds are not of the same work."""
    other = {**getattr(a_run(), what), "sha256": "ee" * 32}
    with pytest.raises(BadInput, match=r"the same (images|model)"):
        compare(stored([]), stored([], **{what: other}))


def test_what_differs_around_the_runs_is_said() -> None:
    """Machine, software, engine, options."""
    environment = {**a_run().environment, "cpu": "Other CPU", "packages": {"numpy": "1"}}
    comparison = compare(
        stored([], options={"max_time_s": 2.0, "gone": 1}),
        stored([], environment=environment, engine="docker", options={"max_time_s": 1.0, "new": 1}),
    )
    text = "\n".join(comparison.warnings)
    for words in (
        "machine differs (cpu)",
        "software differs",
        "engine differs: process before, docker now",
        "option max_time_s",
    ):
        assert words in text
    assert not {"gone", "new"} & set(text.split()), "an option that only one version has says nothing"


def test_pages_hold_every_row_whatever_the_names() -> None:
    """HTML and Markdown, of every kind of run."""
    for records in ([], [a_record()], [cell(NASTY, 3, protocol=NASTY), unmeasured(NASTY + "2", "single", reason=NASTY)]):
        comparison = compare(a_stored_run(records), a_stored_run(records))
        rows = sum(len(each.table.rows) for each in comparison.tables)
        page = Page(render_page("comparison", comparison))
        assert page.open_tags == []
        assert sum(len(table.rows) for table in page.tables) == rows
        assert sum(len(table) - 1 for table in markdown_tables(render_comparison(comparison))) == rows


def test_command_line_compares_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The pages lie with the second run; a pair that cannot be compared ends in one line."""
    folders = []
    for name, run in (("one", a_run()), ("two", a_run()), ("other", replace(a_run(), model={"sha256": "00"}))):
        folders.append(finished(tmp_path / name, StoredRun(run, (cell("flask", 100), *instruments()), {})))
    assert main([str(folders[0]), str(folders[1])]) == 0
    assert (folders[1] / "comparison.html").is_file()
    assert (folders[1] / "comparison.md").is_file()
    assert "No cell changed" in capsys.readouterr().out
    assert main([str(folders[0]), str(folders[2])]) == 2
    assert "the same model" in capsys.readouterr().err
