"""The summary in the terminal."""

import unicodedata

import pytest

from bench.contract.records import Record, Verdict
from reports.renderers.terminal import WIDTH, summary_lines
from reports.sections.report import build_report
from tests.reports.records import NASTY, RUNS, a_record, a_stored_run, every_verdict, unmeasured

WIDE = {"images_per_s": 1e9, "images_per_s_low": 1e8, "images_per_s_high": 3e9, "ratio": 1e6, "verdict": Verdict.OVERSUBSCRIBED}
LONG = [a_record(**WIDE), unmeasured(NASTY, "single", reason=NASTY * 20)]


def columns(line: str) -> int:
    """Columns of a terminal that a line takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in line)


def lines_of(records: list[Record], **run: object) -> list[str]:
    """The summary of a run."""
    return list(summary_lines(build_report(a_stored_run(records, **run))))


@pytest.mark.parametrize("records", [*RUNS.values(), LONG], ids=[*RUNS, "long"])
def test_summary_fits_100_columns(records: list[Record]) -> None:
    """Whatever the names; no line holds a control character."""
    for line in lines_of(records, dataset={"synthetic": True, "name": NASTY}):
        assert columns(line) <= WIDTH == 100
        assert line.isprintable()


def test_every_cell_and_verdict_is_in_it() -> None:
    """Nothing is dropped for lack of room."""
    text = "\n".join(lines_of(every_verdict()))
    for verdict in Verdict:
        assert verdict in text
    for record in every_verdict():
        assert f"{record.backend}-{record.endpoint}" in text
    assert "For single images, each at its best, fastapi-raw and flask-raw cannot be told apart" in " ".join(text.split())


def test_reasons_stand_below_the_tables() -> None:
    """What to do about it is in the reason."""
    assert "Pull it, or log in." in " ".join(" ".join(lines_of(every_verdict())).split())


def test_load_is_one_row_an_endpoint_and_its_sentences() -> None:
    """A few lines, whatever the number of scenarios."""
    lines = lines_of(RUNS["load"])
    start = lines.index("Under load")
    assert " ".join(lines[start + 1].split()) == "Cell 1 client /s 32 clients /s p99 ms at 70 % /s under 15 ms"
    assert sum(line.startswith("mosec-rest ") for line in lines[start:]) == 1
    assert "mosec-rest carries 1,900 requests/s" in " ".join(" ".join(lines).split())
    assert "5 of 130 cells under load could not be compared" in " ".join(lines)
