"""What the reports say of variants beside the backends that they differ from, on records made up for it."""

from typing import Any

import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record, Verdict
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections import variants
from reports.sections.report import build_report
from reports.sections.section import Details, Pairs
from tests.reports.blocks import section_of
from tests.reports.pages import Page, markdown_tables
from tests.reports.records import NASTY, a_record, a_stored_run

DIFFERS = "Up to 32 requests are computed together"
BACKENDS = {
    "mosec": BackendFacts(summary="s", sets=("batching",)),
    "mosec-batching": BackendFacts(summary="s", sets=("batching",), variant_of="mosec", differs=DIFFERS),
}


def swept(backend: str, clients: int, speed: float | None, spread: float = 0.02, **changes: Any) -> Record:
    """A cell of the sweep."""
    values: dict[str, Any] = {
        "backend": backend,
        "endpoint": "raw",
        "scenario": f"c{clients:02}",
        "kind": "clients",
        "concurrency": clients,
        "images_per_s": speed,
        "images_per_s_low": speed and speed * (1 - spread),
        "images_per_s_high": speed and speed * (1 + spread),
        "latency_p50_s": speed and clients / speed,
        "server_cpu_s_per_image": speed and 0.9 / speed,
    }
    return a_record(**{**values, **changes})


def a_sweep(default: dict[int, float], variant: dict[int, float], **changes: Any) -> list[Record]:
    """Both settings, by clients."""
    mine = [swept("mosec-batching", clients, speed, **changes) for clients, speed in variant.items()]
    return [*(swept("mosec", clients, speed) for clients, speed in default.items()), *mine]


SWEEP = a_sweep({1: 4000, 8: 4100, 16: 4200, 32: 4000}, {1: 400, 8: 4050, 16: 8400, 32: 12_000})


def test_a_gain_with_many_clients_is_told_with_its_price() -> None:
    """From how many clients on, how much with the most, for how much CPU, and what one client pays."""
    headline, sentence = variants.sentences(BACKENDS, SWEEP)
    assert headline == "With 32 clients, faster than the default setting: mosec-batching-raw."
    assert sentence == (
        "mosec-batching-raw with 32 clients: 3.00 times (2.88 to 3.12) as fast as mosec-raw, for 0.0750 ms of CPU an image "
        "instead of 0.225; surely faster from 16 clients on; "
        "with one client half of all answers take up to 2.50 ms instead of 0.250."
    )
    assert [row[-1] for row in variants.variant_rows(BACKENDS, SWEEP)] == ["slower", "cannot tell", "faster", "faster"]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({1: 9000, 32: 9000}, "faster throughout"),
        ({1: 400, 32: 900}, "surely slower throughout"),
        ({1: 400, 32: 4010}, "not surely faster up to there"),
        ({1: 9000, 32: 900}, "not surely faster up to there"),
    ],
)
def test_from_how_many_clients_on(variant: dict[int, float], expected: str) -> None:
    """Faster from there on means that it stays so."""
    sentence = variants.sentences(BACKENDS, a_sweep({1: 4000, 32: 4000}, variant))[1]
    assert f"; {expected}; " in sentence


def test_overlapping_intervals_tell_nothing() -> None:
    """Neither word nor headline claims what the intervals do not say."""
    headline, sentence = variants.sentences(BACKENDS, a_sweep({32: 4000}, {32: 4100}, spread=0.03))
    assert headline == "With 32 clients, not to be told apart: mosec-batching-raw."
    assert "1.025 times (0.975 to 1.077) as fast as mosec-raw, so this run cannot tell" in sentence


@pytest.mark.parametrize("verdict", [Verdict.UNSTABLE, Verdict.WRONG_ANSWERS, Verdict.CACHED, Verdict.FAILED])
def test_what_may_not_be_believed_tells_nothing(verdict: Verdict) -> None:
    """Whatever its figures are; the reader sees why."""
    records = a_sweep({32: 4000}, {32: 12_000}, verdict=verdict)
    assert variants.variant_rows(BACKENDS, records)[0][-1] == f"cannot tell (mosec-batching-raw is {verdict})"
    assert "not to be told apart: mosec-batching-raw" in variants.sentences(BACKENDS, records)[0]


def test_a_variant_that_bounds_the_client_is_at_least_so_fast() -> None:
    """It may be faster than shown, so faster it is; slower it may not be called."""
    bound = {"verdict": Verdict.CLIENT_BOUND}
    assert "at least 3.00 times" in variants.sentences(BACKENDS, a_sweep({32: 4000}, {32: 12_000}, **bound))[1]
    assert "cannot tell" in variants.variant_rows(BACKENDS, a_sweep({32: 4000}, {32: 1000}, **bound))[0][-1]


def test_without_intervals_nothing_is_told() -> None:
    """Of a cell measured too briefly for one."""
    records = a_sweep({32: 4000}, {32: 12_000}, images_per_s_low=None, images_per_s_high=None)
    assert variants.variant_rows(BACKENDS, records)[0][-1] == "cannot tell"


def test_only_the_same_endpoint_with_as_many_clients_is_compared() -> None:
    """Another protocol, another batch or another number of clients is another question; who is left out is named."""
    records = [
        swept("mosec", 16, 4000),
        swept("mosec-batching", 32, 9000),
        swept("mosec-batching", 16, 9000, protocol="v2-grpc"),
        swept("mosec-batching", 16, 9000, batch_size=8),
    ]
    assert variants.variant_rows(BACKENDS, records) == []
    assert "No variant was measured with several clients" in variants.sentences(BACKENDS, records)[0]
    more = [*SWEEP, swept("mosec-batching", 16, None, endpoint="rest")]
    left_out = "Not compared, for it or its default setting was not measured: mosec-batching-rest."
    assert variants.sentences(BACKENDS, more)[-1] == left_out


def test_a_run_without_variants_says_nothing_of_them() -> None:
    """Neither section nor entry."""
    view = build_report(a_stored_run())
    assert section_of(view, "variants").blocks == ()
    assert "Variants" not in render_markdown(view, {})
    assert 'id="variants"' not in render_html(view, {})


def test_both_reports_show_the_same() -> None:
    """Sentences, table and what differs; also among the backend's facts."""
    view = build_report(a_stored_run(SWEEP, backends=BACKENDS))
    page, markdown = render_html(view, {}), render_markdown(view, {})
    for text in (" ".join(page.split()), " ".join(markdown.replace("\\", "").split())):
        assert all(sentence in text for sentence in variants.sentences(BACKENDS, SWEEP))
        assert DIFFERS in text
    (from_html,) = [[t.head, *(row for _, row in t.rows)] for t in Page(page).tables if t.head[:2] == ["Variant", "Clients"]]
    (from_markdown,) = [table for table in markdown_tables(markdown) if table[0][:2] == ["Variant", "Clients"]]
    assert from_markdown == from_html
    assert len(from_html) == 5
    (facts,) = [b for b in section_of(view, "setup").blocks if isinstance(b, Details) and b.summary == "mosec-batching"]
    assert isinstance(facts.blocks[0], Pairs)
    assert ("variant of", "mosec") in facts.blocks[0].pairs


def test_nasty_facts_break_nothing() -> None:
    """A stored run may hold anything."""
    facts = {
        NASTY: BackendFacts(variant_of=NASTY, differs=NASTY),
        "b": BackendFacts.from_dict({"variant_of": 3}),
        "c": BackendFacts(variant_of="gone"),
    }
    sentences = variants.sentences(facts, [swept(NASTY, 8, 10.0), swept("c", 8, 10.0), swept("b", 8, 10.0)])
    assert sentences
    assert all("\n" not in text for text in (*sentences, *(part for pair in variants.differences(facts) for part in pair)))
    assert render_markdown(build_report(a_stored_run([swept(NASTY, 8, 10.0)], backends=facts)), {})
