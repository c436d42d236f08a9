"""Many runs of one folder: each cell's way with its noise band; what is left out is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.contract.errors import BadInput
from reports.__main__ import main
from reports.across_runs.history import history_of, read_runs
from reports.renderers.html import render_page
from reports.store.store import StoredRun
from tests.reports.pages import Page
from tests.reports.records import NASTY, a_record, a_run, finished, unmeasured


def kept(folder: Path, day: int, speed: float, **changes: Any) -> Path:
    """A finished run of that day."""
    environment = {**a_run().environment, "commit": f"abc{day:04}"}
    run = replace(a_run(), id=f"run-{day}", started_utc=f"2026-11-{day:02}T08:00:00+00:00", environment=environment)
    record = a_record(images_per_s=speed, images_per_s_low=speed * 0.9, images_per_s_high=speed * 1.1)
    records = (record, a_record(backend=NASTY), unmeasured("tfs", "single"))
    return finished(folder, StoredRun(replace(run, **changes), records, {}))


def test_cells_stand_by_date_and_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oldest first, whatever the folders' names; a run that lacks a cell has a gap."""
    kept(tmp_path, 5, 120.0)
    kept(tmp_path, 3, 100.0)
    kept(tmp_path, 4, 110.0)
    assert main(["history", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "history.html")
    assert (tmp_path / "charts" / "history-single.png").stat().st_size > 5000
    page = Page((tmp_path / "history.html").read_text())
    assert page.open_tags == []
    rows = [texts for _, texts in page.tables[0].rows]
    assert [row[0] for row in rows] == [f"11-{day:02} 08:00 abc{day:04}" for day in (3, 4, 5)]
    assert [row[1] for row in rows] == ["100 ± 10 %", "110 ± 10 %", "120 ± 10 %"]


def test_damaged_and_foreign_runs_are_named_and_left_out(tmp_path: Path) -> None:
    """The newest run says which model and images count; links and other folders are not runs."""
    kept(tmp_path, 3, 100.0)
    kept(tmp_path, 2, 90.0, model={"sha256": "00"})
    broken = kept(tmp_path, 1, 80.0)
    (broken / "results.json").write_text(json.dumps({"schema_version": 99}))
    (tmp_path / "screenshots").mkdir()
    runs, skipped = read_runs(tmp_path)
    assert [stored.run.id for stored in runs] == ["run-3"]
    assert len(skipped) == 2
    text = render_page("history", history_of(runs, skipped))
    assert "other images or another model" in text
    assert str(broken.name) in text


def test_nothing_to_draw_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder, a missing one, a missing argument."""
    with pytest.raises(BadInput, match="holds no run"):
        read_runs(tmp_path)
    assert main(["history", str(tmp_path / "missing")]) == 2
    assert "holds no run" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["history"])
