"""report.html: one well-formed page that asks nothing of a network and hides nothing."""

import base64
import hashlib
import re

import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Verdict
from reports.renderers.html import render_html
from reports.sections.report import build_report
from tests.reports.drawn import charts_of
from tests.reports.pages import Page
from tests.reports.records import (
    NASTY,
    RUNS,
    a_confusion,
    a_stored_run,
    every_verdict,
    some_disagreements,
    some_gate,
    some_soak,
    some_starts,
)


def rendered(name: str, **run: object) -> str:
    """The whole page of a run in RUNS, pictures included."""
    return render_html(build_report(a_stored_run(RUNS[name], **run)), charts_of(name))


@pytest.fixture(scope="module")
def page() -> str:
    """Of the run that has everything."""
    return rendered("every verdict")


@pytest.mark.parametrize("name", RUNS)
def test_page_is_well_formed_and_asks_nothing_of_a_network(name: str) -> None:
    """Tags are balanced, ids unique, links inside the page lead somewhere, nothing is loaded, no script but ours runs."""
    text = rendered(
        name,
        command=NASTY,
        warnings=(NASTY,),
        backends={NASTY: BackendFacts.from_dict({NASTY: NASTY, "sets": [NASTY], "lines_of_code": 1})},
        confusion=a_confusion(NASTY, NASTY),
        disagreements=some_disagreements(NASTY),
        gate=some_gate(NASTY),
        startup=some_starts(NASTY),
        soak=some_soak(NASTY),
    )
    parsed = Page(text)
    assert parsed.open_tags == []
    assert len(parsed.ids) == len(set(parsed.ids))
    for reference in parsed.references:
        if reference.startswith("data:image/png;base64,"):
            continue
        assert reference == "data:," or (reference.startswith("#") and reference[1:] in parsed.ids), reference
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    assert text.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text, "the page allows itself this script and no other"
    assert len(text.encode()) < 3_000_000


def test_every_verdict_and_every_reason_is_on_the_page(page: str) -> None:
    """Reasons in full, lines kept, markup in them shown as text."""
    shown = Page(page).all_text
    for verdict in Verdict:
        assert verdict in shown
    for record in every_verdict():
        assert record.reason in shown


def test_every_section_of_the_report_is_there(page: str) -> None:
    """The answer, speed, latency, what failed, accuracy, 2018, words, setup, commands."""
    shown = " ".join(Page(page).all_text.split())
    for text in (
        "each at its best, fastapi-raw and flask-raw cannot be told apart",
        "Not measured here: tensorflow-serving.",
        "null ceiling",
        "What could not be measured or believed, and why",
        "100.00 %",
        "77.60 %",
        "6,126.9",
        "another machine",
        "How to read this",
        "Example CPU 3.2 GHz",
        "neighbours can take its CPU time",
        "Flask under gunicorn",
        "pytest --benchmark-only --backend default",
        "pytest --benchmark-only --backend flask -k 'flask-rest-single'",
        "The model takes 171 of 1,000 images for another class",
        "O and 0",
        "I (0.680)",
        "Slower than allowed: flask-rest-single.",
        "Of 3 cells 1 could not be told.",
        "Start-up",
        "0.912 (0.800–1.20)",
        "Peak memory",
        "What each backend asks of its owner",
        "Where the time goes",
        "Steadiness",
    ):
        assert text in shown


def test_cells_under_load_have_a_section_with_their_words() -> None:
    """Only where there are such cells; rows carry what the filters go by."""
    text = rendered("load")
    shown = " ".join(Page(text).all_text.split())
    for words in (
        "Under 15 ms at p99, over v2-grpc triton-grpc carries",
        "With 32 clients, over v2-grpc kserve-grpc answers",
        "What the closed loop leaves out is called coordinated omission",
        "Requests/s by the number of clients",
        "p99 in ms by the part of its own peak that is offered, poisson arrivals",
        "Highest rate with p99 under 15 ms",
        "5 of 130 cells under load could not be compared: 5 CLIENT_BOUND",
        "pytest --benchmark-only --backend=mosec -k 'mosec-rest-poisson70'",
        "Late sends",
    ):
        assert words in shown
    assert text.count('data-endpoint="mosec-rest"') == 6
    assert 'id="load"' in text
    assert 'id="load"' not in rendered("every verdict")


def test_page_reads_well_for_machines_too(page: str) -> None:
    """Language, viewport, colour schemes, print; headers have scopes, pictures texts, wide tables scroll by key."""
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)
    assert not re.search(r"<figure(?![^>]*aria-label=)", page)
    assert len(re.findall(r'class="scroll" tabindex="0" role="region" aria-label=', page)) == page.count("<table")


def test_synthetic_data_has_its_banner(page: str) -> None:
    """Before any number."""
    text = rendered("every verdict", dataset={"name": "fonts", "n": 1000, "synthetic": True})
    assert text.index("Synthetic data") < text.index("cannot be told apart")
    assert "Synthetic data" not in page


def test_run_without_cells_says_so() -> None:
    """An empty page would look like a mistake."""
    shown = Page(rendered("zero")).all_text
    assert "This run compared no speeds." in shown
    assert "This run has no cell that measures speed." in shown


def test_names_cannot_become_markup() -> None:
    """In texts, attributes and pictures."""
    text = rendered("nasty")
    assert text.count("<script") == 1, "ours"
    assert 'alert("1")</script>' in Page(text).all_text
