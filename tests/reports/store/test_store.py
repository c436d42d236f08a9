"""The folder of a run: what lies where after an end, a kill, a full disk."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.errors import BadInput
from bench.contract.records import Verdict
from reports.store.store import (
    RunStore,
    StoredRun,
    folder_name,
    load_run,
    named_run,
    point_latest,
    resolve_latest,
    write_atomic,
)
from tests.reports.records import NASTY, a_record, a_run, a_stored_run, filled, finished, opened, some_samples


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a fallback folder would be made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def assert_same(found: StoredRun, expected: StoredRun) -> None:
    """Everything but the notes."""
    assert found.run == expected.run
    assert found.records == expected.records
    assert found.samples.keys() == expected.samples.keys()
    for cell, samples in expected.samples.items():
        np.testing.assert_array_equal(found.samples[cell].duration_s, samples.duration_s)
        np.testing.assert_array_equal(found.samples[cell].round_index, samples.round_index)


def test_finished_run_is_read_back_whole(tmp_path: Path) -> None:
    """What was added is what `load_run` returns, to the last digit, without a note."""
    stored = a_stored_run()
    store = filled(tmp_path, stored)
    store.finish()
    found = load_run(opened(store))
    assert_same(found, stored)
    assert found.notes == ()
    assert store.problems == ()


def test_folder_holds_what_the_documentation_names(tmp_path: Path) -> None:
    """After the end: results and records; no parts, no temporary files."""
    folder = finished(tmp_path, a_stored_run())
    assert {path.name for path in folder.iterdir()} == {
        "run.json",
        "records.jsonl",
        "results.json",
        "results.csv",
        "samples.npz",
        "bencher.json",
        "github-action-benchmark.json",
    }


def test_killed_run_loses_nothing_measured(tmp_path: Path) -> None:
    """Without an end, records and samples of every finished cell can be read, and a note says that the run did not end."""
    stored = a_stored_run()
    found = load_run(opened(filled(tmp_path, stored)))
    assert_same(found, stored)
    assert "did not end" in found.notes[0]


def test_torn_last_line_is_left_out_and_reported(tmp_path: Path) -> None:
    """A line cut off in the middle costs that cell only, and is named by its number."""
    stored = a_stored_run()
    folder = opened(filled(tmp_path, stored))
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    found = load_run(folder)
    assert found.records == stored.records[:-1]
    assert any(f"line {len(lines)}" in note for note in found.notes)


def test_cells_under_way_are_read_until_they_are_finished(tmp_path: Path) -> None:
    """Of a killed run they stand behind the finished ones, with their samples and a note; a finished record takes its place."""
    finished, first, second = a_record(), a_record(endpoint="raw"), a_record(endpoint="grpc")
    early = [replace(record, verdict=Verdict.UNSTABLE, exchanges=1) for record in (first, second)]
    store = RunStore(tmp_path, a_run(), "bench-1")
    store.add(finished, some_samples(finished))
    store.keep_underway([(first, some_samples(first))])
    store.keep_underway([(record, some_samples(record)) for record in early])
    found = load_run(opened(store))
    assert found.records == (finished, *early)
    assert found.samples.keys() == {finished.id, first.id, second.id}
    assert "(2)" in found.notes[1]
    store.add(first, some_samples(first))
    assert load_run(opened(store)).records == (finished, first, early[1])
    assert store.stored.records == (finished, first, early[1])
    store.keep_underway([])
    assert not list(opened(store).glob("underway*"))
    assert [load_run(opened(store)).records, store.stored.records] == [(finished, first)] * 2


def test_cells_under_way_that_were_never_finished_are_results_at_the_end(tmp_path: Path) -> None:
    """Where a mistake kept them from being finished; the folder then holds them as it holds all others."""
    finished, open_ = a_record(), a_record(endpoint="raw")
    store = RunStore(tmp_path, a_run(), "bench-1")
    store.add(finished, some_samples(finished))
    store.keep_underway([(open_, some_samples(open_))])
    store.finish()
    assert not list(opened(store).glob("underway*"))
    assert load_run(opened(store)).records == (finished, open_)
    assert load_run(opened(store)).samples.keys() == {finished.id, open_.id}


def test_newest_record_of_a_cell_wins(tmp_path: Path) -> None:
    """A cell that is emitted again stands once, with what was said of it last, killed or finished."""
    first, other = a_record(), a_record(endpoint="raw")
    again = replace(first, verdict=Verdict.UNSTABLE, images_per_s=1.0)
    store = RunStore(tmp_path, a_run(), "bench-1")
    for record in (first, other, again):
        store.add(record, some_samples(record))
    assert load_run(opened(store)).records == (again, other)
    assert load_run(opened(store)).samples.keys() == {first.id, other.id}
    store.finish()
    assert load_run(opened(store)).records == (again, other)


def test_facts_that_grow_are_kept(tmp_path: Path) -> None:
    """The newest run holds, in run.json at once and in results.json at the end."""
    store = RunStore(tmp_path, a_run(backends={}), "bench-1")
    grown = a_run(backends={"flask": BackendFacts(start_s=0.9)})
    store.update_run(grown)
    assert load_run(opened(store)).run == grown
    store.finish()
    assert load_run(opened(store)).run == grown


def test_values_that_json_cannot_hold_lose_no_record(tmp_path: Path) -> None:
    """NaN, infinity, numpy numbers, paths and lone surrogates become their nearest JSON value."""
    run = a_run(environment={"path": Path("x"), "n": np.int64(3), "nan": np.float64("nan"), "set": {2, 1}, "bad": "\udc80"})
    store = RunStore(tmp_path, run, "bench-1")
    store.add(a_record(images_per_s=float("inf"), latency_p50_s=np.float64(0.5), rank=np.int64(2), reason="\udc80"), None)
    store.finish()
    found = load_run(opened(store))
    assert found.run.environment == {"path": "x", "n": 3, "nan": None, "set": [1, 2], "bad": "?"}
    assert (found.records[0].images_per_s, found.records[0].latency_p50_s, found.records[0].rank) == (None, 0.5, 2)
    assert store.problems == ()


def test_two_runs_of_one_second_have_a_folder_each(tmp_path: Path) -> None:
    """No run writes into another's folder."""
    stores = [RunStore(tmp_path, a_run(), "bench-1") for _ in range(3)]
    assert len({store.folder for store in stores}) == 3


def test_folder_name_sorts_by_time_and_holds_no_path() -> None:
    """UTC time, then the host without anything that a file system minds."""
    assert folder_name("2026-11-22T23:13:00+01:00", "Büro/1 \n") == "20261122T221300Z-B_ro_1"
    assert folder_name("not a time", "../..").endswith("Z-host")


def test_latest_is_a_link_to_the_newest_finished_run(tmp_path: Path) -> None:
    """Each end moves it."""
    for _ in range(2):
        folder = finished(tmp_path, a_stored_run([a_record()]))
    assert (tmp_path / "latest").resolve() == folder.resolve()
    assert load_run(tmp_path / "latest").records == (a_record(),)


def test_latest_is_a_file_where_links_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the folder stands in it, and `load_run` follows it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = finished(tmp_path, a_stored_run([a_record()]))
    assert (tmp_path / "latest").read_text().strip() == folder.name
    assert resolve_latest(tmp_path / "latest") == folder
    assert load_run(tmp_path / "latest").records == (a_record(),)


def test_latest_that_cannot_be_replaced_is_a_problem_not_an_error(tmp_path: Path) -> None:
    """A folder of that name stays, and the results are there all the same."""
    (tmp_path / "latest" / "mine").mkdir(parents=True)
    store = filled(tmp_path, a_stored_run([a_record()]))
    store.finish()
    assert (tmp_path / "latest" / "mine").is_dir()
    assert "latest" in store.problems[0]
    assert load_run(opened(store)).records == (a_record(),)


def test_report_folder_that_cannot_be_made_falls_back(tmp_path: Path, temporary: Path) -> None:
    """A file in its place: everything goes to a temporary folder, and one problem says where."""
    blocked = tmp_path / "out"
    blocked.write_text("not a folder")
    stored = a_stored_run()
    store = filled(blocked, stored)
    store.finish()
    assert opened(store).parent == temporary
    assert_same(load_run(opened(store)), stored)
    assert len(store.problems) == 1
    assert str(opened(store)) in store.problems[0]
    assert blocked.read_text() == "not a folder"


def test_folder_that_is_lost_midway_falls_back_with_all_that_was_measured(tmp_path: Path, temporary: Path) -> None:
    """Cells from before and after are together in the temporary folder, samples too, also without an end."""
    stored = a_stored_run()
    store = RunStore(tmp_path / "out", stored.run, "bench-1")
    for place, record in enumerate(stored.records):
        if place == 3:
            shutil.rmtree(opened(store))
            opened(store).write_text("not a folder")
        store.add(record, stored.samples.get(record.id))
    assert opened(store).parent == temporary
    assert_same(load_run(opened(store)), stored)
    store.finish()
    assert_same(load_run(opened(store)), stored)


def test_nothing_writable_keeps_everything_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception, no folder, a problem that says what to do, and all records at hand for the terminal."""
    blocked = tmp_path / "out"
    blocked.write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(blocked))
    stored = a_stored_run()
    store = filled(blocked, stored)
    store.finish()
    assert store.folder is None
    assert store.stored.records == stored.records
    assert len(store.problems) == 1
    assert "--report-dir" in store.problems[0]


def test_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that stops in the middle is as if it had never begun."""
    path = tmp_path / "results.json"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert path.read_bytes() == b"old"


def test_pointing_latest_twice_at_the_same_run_is_no_error(tmp_path: Path) -> None:
    """Rendering again may do so."""
    (tmp_path / "run").mkdir()
    point_latest(tmp_path / "run")
    point_latest(tmp_path / "run")
    assert (tmp_path / "latest").resolve() == tmp_path / "run"


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """Also one that does not exist."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadInput, match="holds no run"):
            load_run(folder)


def test_nasty_names_survive_the_round_trip(tmp_path: Path) -> None:
    """Pipes, tags, quotes, emoji, control characters and 200 characters: ids stay what they were."""
    record = a_record(backend=NASTY, reason=NASTY)
    store = RunStore(tmp_path, a_run(command=NASTY), NASTY)
    store.add(record, some_samples(record))
    store.finish()
    found = load_run(opened(store))
    assert found.records == (replace(record, backend=NASTY.replace("\0", ""), reason=NASTY.replace("\0", "")),)
    assert found.samples.keys() == {found.records[0].id}
    assert store.problems == ()


def test_run_without_cells_is_a_run(tmp_path: Path) -> None:
    """Zero cells are written and read."""
    assert load_run(finished(tmp_path, a_stored_run([]))).records == ()


def test_the_newest_run_is_named_latest_whether_it_ended_or_not(tmp_path: Path) -> None:
    """Unlike the link of that name; a path is taken from where it was typed."""
    ended = finished(tmp_path / "out", a_stored_run([a_record()]))
    killed = RunStore(tmp_path / "out", a_run(started_utc="2026-11-23T00:00:00+00:00"), "bench-1")
    assert named_run("latest", tmp_path, tmp_path / "out") == killed.folder
    assert named_run("out/latest", tmp_path, tmp_path / "elsewhere").resolve() == ended
    assert named_run(str(killed.folder), tmp_path / "x", tmp_path) == killed.folder
    with pytest.raises(BadInput, match="latest: expected a run in"):
        named_run("latest", tmp_path, tmp_path / "none")
