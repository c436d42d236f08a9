"""Rounding, units, order and ties: the one place where numbers become text."""

import pytest

from bench.contract.records import Verdict
from reports.tables import numbers
from reports.tables.cell_tables import speed_table
from reports.tables.facts import pairs
from reports.tables.names import scenarios_of, title_of
from reports.tables.numbers import MISSING
from reports.tables.table import Table
from tests.reports.records import NASTY, a_record, every_verdict, unmeasured


def column(table: Table, key: str) -> list[str]:
    """Texts of one column, instruments last."""
    picked = table.select([key])
    return [row.texts[0] for row in (*picked.rows, *picked.instruments)]


def test_every_verdict_is_in_the_made_up_run() -> None:
    """The other tests rely on it."""
    assert {record.verdict for record in every_verdict()} == set(Verdict)


@pytest.mark.parametrize(
    ("value", "half_width", "text"),
    [
        (None, None, MISSING),
        (float("nan"), None, MISSING),
        (0.0, None, "0"),
        (0.001234, None, "0.00123"),
        (0.4126, None, "0.413"),
        (12.34, None, "12.3"),
        (612.4, 8.0, "612"),
        (612.43, 0.4, "612.4"),
        (612.43, 0.0001, "612.43"),
        (6126.9, None, "6,127"),
        (402_000.4, 3000.0, "402,000"),
    ],
)
def test_numbers_show_as_many_digits_as_their_interval_supports(
    value: float | None, half_width: float | None, text: str
) -> None:
    """Three significant digits at least, the whole part always, two more where the interval is narrow."""
    assert numbers.number(value, half_width=half_width) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, MISSING), (0.0, "0.00 %"), (0.776, "77.60 %"), (1.0, "100.00 %"), (0.999999, "99.99 %")]
)
def test_only_what_is_whole_is_a_hundred_percent(share: float | None, text: str) -> None:
    """One wrong answer in a million must not round away."""
    assert numbers.percent(share) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((None, None, None), MISSING),
        ((1.5, None, None), "1.50"),
        ((1.4, 1.352, 1.449), "1.40 [1.35, 1.45]"),
        ((0.3012, 0.2987, 0.304), "0.301 [0.299, 0.304]"),
        ((0.0567, 0.0562, 0.0572), "0.0567 [0.0562, 0.0572]"),
        ((17.64, 17.48, 17.8), "17.6 [17.5, 17.8]"),
        ((1.012, 1.0004, 1.02), "1.0120 [1.0004, 1.0200]"),
    ],
)
def test_ratio_never_rounds_to_a_tie_that_is_none(values: tuple[float | None, float | None, float | None], text: str) -> None:
    """A bound just above 1 gets the digits that show it."""
    assert numbers.ratio(*values) == text


def test_interval_is_the_larger_side() -> None:
    """An asymmetric interval is not made to look narrower."""
    assert numbers.with_interval(100.0, 90.0, 105.0) == "100 ± 10 %"
    assert numbers.with_interval(100.0, None, 105.0) == "100"


def test_every_unit_is_converted_once() -> None:
    """Seconds become milliseconds, shares become percent."""
    table = speed_table([a_record(latency_p50_s=0.001588, server_cpu_s_per_image=0.00141, ceiling_fraction=0.087)])
    assert column(table, "p50") == ["1.59"]
    assert column(table, "cpu") == ["1.41"]
    assert column(table, "ceiling") == ["8.7 %"]
    assert column(table, "accuracy") == ["84.30 %"]


def test_ties_share_a_marked_rank() -> None:
    """`1=` twice, then 3."""
    table = speed_table([r for r in every_verdict() if r.scenario == "single"])
    assert column(table, "rank")[:4] == ["1=", "1=", "3", "4"]


def test_order_is_rank_then_speed_then_what_was_not_measured() -> None:
    """Nothing is dropped; instruments stand apart, below."""
    records = [record for record in every_verdict() if record.scenario == "single"]
    table = speed_table(records)
    assert len(table.rows) + len(table.instruments) == len(records)
    assert {row.record.role for row in table.instruments} == {"ceiling", "reference"}
    verdicts = [row.record.verdict for row in table.rows]
    assert verdicts[-2:] == [Verdict.FAILED, Verdict.NOT_MEASURED]
    unranked = [row.record.images_per_s for row in table.rows if row.record.rank is None and row.record.images_per_s]
    assert unranked == sorted(unranked, reverse=True)


def test_what_was_not_measured_claims_nothing() -> None:
    """A dash in every column but name, protocol, runtime and verdict."""
    table = speed_table([unmeasured("tfs", "single")])
    shown = dict(zip([c.key for c in table.columns], table.rows[0].texts, strict=True))
    assert {key for key, text in shown.items() if text != MISSING} == {"cell", "protocol", "runtime", "verdict"}


def test_ratio_names_whom_it_refers_to() -> None:
    """Once below the table if it is the same for all, else in each cell; the one itself is 1."""
    base = a_record(endpoint="raw", ratio=1.0, ratio_low=1.0, ratio_high=1.0, ratio_to="flask-raw-single")
    one = a_record(ratio_to="flask-raw-single")
    other = a_record(backend="x", ratio_to="null-raw-single")
    assert speed_table([base, one]).note == "Ratio: speed relative to flask-raw."
    assert sorted(column(speed_table([base, one]), "ratio")) == ["0.301 [0.299, 0.304]", "1"]
    mixed = speed_table([one, other])
    assert mixed.note == ""
    assert [text.partition(" to ")[2] for text in column(mixed, "ratio")] == ["flask-raw", "null-raw"]


def test_errors_have_a_column_where_there_are_any() -> None:
    """Errors are counted in sight; a run without any spares the column."""
    assert "errors" not in [c.key for c in speed_table([a_record()]).columns]
    assert column(speed_table([a_record(errors=3)]), "errors") == ["3"]


def test_scenarios_stand_by_the_size_of_their_requests() -> None:
    """As `--batch-sizes` names them, by size and not by name."""
    sizes = {"batch128": 128, "batch8": 8, "single": 1, "batch32": 32}
    records = {name: a_record(scenario=name, batch_size=size) for name, size in sizes.items()}
    found = scenarios_of(list(records.values()))
    assert found == ["single", "batch8", "batch32", "batch128"]
    assert title_of(a_record(scenario="later", title="What a later\nversion measures")) == "What a later version measures"


def test_names_are_one_line() -> None:
    """Line breaks and control characters do not reach any report."""
    table = speed_table([a_record(backend=NASTY)])
    assert not {"\n", "\x00"} & set(column(table, "cell")[0])


def test_facts_become_words_and_short_texts() -> None:
    """Nested keys, units from names, long lists counted, None said in words."""
    facts = {
        "memory_bytes": 16_500_000_000,
        "start_s": 0.9123,
        "governor": None,
        "hypervisor": True,
        "packages": {"numpy": "2.4"},
        "cpus": [0, 1],
        "per_class": list(range(62)),
        "log": "x" * 1000,
    }
    shown = dict(pairs(facts))
    assert shown["memory"] == "16.5 GB"
    assert shown["start"] == "0.9123 s"
    assert shown["governor"] == "not known"
    assert shown["hypervisor"] == "yes"
    assert shown["packages numpy"] == "2.4"
    assert shown["cpus"] == "0, 1"
    assert shown["per class"].startswith("62 entries")
    assert len(shown["log"]) <= 400
