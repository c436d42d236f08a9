"""`python -m reports RUN`."""

from pathlib import Path

import pytest

from reports.__main__ import main
from reports.store.store import RunStore, load_run
from tests.reports.records import a_record, a_stored_run, filled, opened, unmeasured

RECORDS = [a_record(), unmeasured("tfs", "single")]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """A run that was killed after its last cell."""
    return filled(tmp_path / "out", a_stored_run(RECORDS))


def test_old_run_is_rendered_again_to_the_same_bytes(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Results stay untouched; the path of the page is printed."""
    store.finish()
    folder = opened(store)
    before = (folder / "results.json").read_bytes()
    assert main([str(folder)]) == 0
    pages = [(folder / name).read_bytes() for name in ("report.html", "report.md")]
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert main([str(folder.parent / "latest")]) == 0
    assert [(folder / name).read_bytes() for name in ("report.html", "report.md")] == pages
    assert (folder / "results.json").read_bytes() == before


def test_killed_run_is_completed_and_says_that_it_did_not_end(store: RunStore) -> None:
    """results.json, CSV and samples are added; the second rendering still says it."""
    folder = opened(store)
    for _ in range(2):
        assert main([str(folder)]) == 0
        assert "did not end" in (folder / "report.html").read_text()
    assert {"results.json", "results.csv", "samples.npz"} <= {path.name for path in folder.iterdir()}
    assert load_run(folder).records == tuple(RECORDS)


@pytest.mark.parametrize("content", [None, "{", '{"schema_version": 99}'])
def test_bad_folder_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    """Exit code 2, no traceback, no file written."""
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path) in said
    assert {path.name for path in tmp_path.iterdir()} <= {"results.json"}


def test_folder_that_cannot_be_written_ends_in_one_line(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 and what to do."""
    store.finish()
    (opened(store) / "charts").write_text("a file where a folder must go")
    assert main([str(opened(store))]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_no_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """As any command does."""
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "RUN" in capsys.readouterr().err
