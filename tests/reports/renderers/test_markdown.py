"""report.md: valid GitHub Markdown, whatever the names hold."""

from dataclasses import replace

import pytest

from bench.contract.records import Record, Verdict
from reports.renderers.markdown import MOST_BYTES, code, escape, render_markdown
from reports.sections.report import build_report
from tests.reports.pages import markdown_tables, markdown_tokens
from tests.reports.records import RUNS, a_record, a_stored_run, every_verdict, many


def rendered(records: list[Record], **run: object) -> str:
    """With the pictures that a run of every verdict has."""
    charts = {name: f"charts/{name}.svg" for name in ("throughput-single", "latency-single")}
    return render_markdown(build_report(a_stored_run(records, **run)), charts)


@pytest.mark.parametrize("name", RUNS)
def test_tables_are_tables(name: str) -> None:
    """Each row has as many cells as the head; none fell apart into a paragraph; nothing of a name became markup or raw HTML."""
    text = rendered(RUNS[name])
    tables = list(markdown_tables(text))
    assert sum(line.startswith("|") for line in text.splitlines()) == sum(len(table) + 1 for table in tables) > 0
    for table in tables:
        assert {len(row) for row in table} == {len(table[0])}
    for token in markdown_tokens(text):
        assert token.type not in ("html_block", "fence", "code_block")
        assert not {"html_inline", "link_open", "em_open"} & {child.type for child in token.children or []}


def test_every_verdict_and_reason_is_there() -> None:
    """In the table and below it; who could not be had at all has a line and a reason."""
    text = rendered(every_verdict())
    shown = " ".join(" ".join(row) for table in markdown_tables(text) for row in table)
    for verdict in Verdict:
        assert (verdict is Verdict.NOT_MEASURED) is not (verdict in shown)
    for record in every_verdict():
        assert escape(record.reason) in text


def test_names_are_shown_as_they_are() -> None:
    """Escaping is for the parser, not for the reader."""
    names = ["a|b", "<script>", "*b*", "`c`", "a_b_c", "[x](y)", "~~x~~", "$x$", "@team", "#12", "&lt;", "\\|", "🚀"]
    text = rendered([a_record(backend=name, rank=n + 1) for n, name in enumerate(names)])
    table = next(table for table in markdown_tables(text) if table[0][0] == "Rank")
    assert [row[1] for row in table[1:]] == [f"{name}-rest" for name in names]


def test_charts_are_linked_files() -> None:
    """Relative paths, with a text for those who do not see them."""
    text = rendered(every_verdict())
    images = [child for token in markdown_tokens(text) for child in token.children or [] if child.type == "image"]
    assert [image.attrs["src"] for image in images] == ["charts/throughput-single.svg", "charts/latency-single.svg"]
    assert all(image.content for image in images)


@pytest.mark.parametrize("text", ["plain", "a `b` c", "``", "`start", "new\nline", "a ``` b"])
def test_code_spans_hold_any_command(text: str) -> None:
    """Backticks and line breaks included."""
    (token,) = [token for token in markdown_tokens(code(text)) if token.type == "inline"]
    (span,) = token.children or []
    assert span.type == "code_inline"
    assert span.content == " ".join(text.split())


def test_report_stays_under_60_kb() -> None:
    """A job summary that is too long would be refused as a whole: what explains goes first, then a line is the end.

    Forty cells, the size that the report is made for, are not cut.
    """
    assert "Cut here for length" not in rendered(many(40))
    text = rendered(many(900), command="x" * 5000, warnings=("w" * 5000,) * 5)
    assert len(text.encode()) < MOST_BYTES == 60_000
    assert "Cut here for length" in text
    for table in markdown_tables(text):
        assert {len(row) for row in table} == {len(table[0])}


def test_where_it_is_too_long_reasons_and_explanations_give_way_and_every_cell_stays() -> None:
    """Three scenarios of fifty cells, half of them with a log's tail for a reason."""
    records = []
    for scenario in ("single", "batch128", "accuracy"):
        for n, record in enumerate(many(50)):
            record = replace(record, scenario=scenario)
            if n % 2:
                record = replace(record, verdict=Verdict.FAILED, reason=f"{n} {scenario} " + "log line " * 200)
            records.append(record)
    text = rendered(records)
    assert len(text.encode()) < MOST_BYTES
    assert "Cut here for length" not in text
    assert "Shortened to fit" in text
    shown = [row[table[0].index("Cell")] for table in markdown_tables(text) if "Cell" in table[0] for row in table[1:]]
    for n in range(50):
        assert shown.count(f"backend-{n:03}-main") == 3


def test_forty_endpoints_under_load_fit() -> None:
    """Explanations give way; every endpoint stays in the tables of what was measured."""
    text = rendered(RUNS["forty under load"])
    assert "Cut here for length" not in text
    for table in markdown_tables(text):
        if {"1 client", "Bracket"} & set(table[0]):
            assert len({row[0] for row in table[1:]}) == 40
    assert "coordinated omission" in text


def test_pictures_under_load_stand_by_their_tables() -> None:
    """With a text for those who do not see them."""
    names = ("load-clients", "load-percentiles", "load-levels", "load-slo15ms")
    text = render_markdown(build_report(a_stored_run(RUNS["load"])), {name: f"charts/{name}.svg" for name in names})
    images = [child for token in markdown_tokens(text) for child in token.children or [] if child.type == "image"]
    assert [image.attrs["src"] for image in images] == [f"charts/{name}.svg" for name in names]
    assert all(image.content for image in images)


def test_synthetic_data_has_its_banner() -> None:
    """Before any number."""
    text = rendered(every_verdict(), dataset={"name": "fonts", "n": 1000, "synthetic": True})
    assert text.index("Synthetic data") < text.index("For single images")
    assert "Synthetic data" not in rendered(every_verdict())
