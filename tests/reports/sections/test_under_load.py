"""What was measured under load, in tables and sentences: within each protocol, true to brackets, ties and verdicts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival
from reports.across_runs.comparison import compare
from reports.sections.answer import answers, unranked
from reports.sections.load import answers as load_answers
from reports.sections.load import clients as load_clients
from reports.sections.load import limits, loops, open_loop
from reports.sections.load import under_load as section_under_load
from reports.sections.load.figures import figure
from reports.sections.problems import problems_of
from reports.sections.report import build_report
from reports.tables.load_cells import CellsUnderLoad, concurrencies, endpoints_of, equal_load, has_latency, levels_of, limits_of
from reports.tables.numbers import MISSING, number
from reports.tables.table import Table
from tests.reports.blocks import section_of, tables_of, texts_of
from tests.reports.load_records import LOADS, MADE, a_load_record, under_load
from tests.reports.records import RUNS, a_record, a_stored_run, both_kinds, unmeasured


class Found:
    """What the section says of some records, question by question."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.cells: CellsUnderLoad = section_under_load.cells_under_load(records)
        self.sweep = load_clients.clients_tables(self.cells)
        self.levels = open_loop.level_tables(self.cells)
        self.limits = [limits.limit_table(name, self.cells.endpoints) for name in limits_of(self.cells.endpoints)]
        self.loops = loops.loops_table(self.cells.endpoints, records)
        self.tails = open_loop.tails(self.cells.endpoints)
        self.answers = load_answers.answers(self.cells.endpoints)
        self.details = load_answers.details(self.cells.endpoints)
        self.unranked = load_answers.unranked(self.cells.endpoints)


@pytest.fixture(scope="module")
def section() -> Found:
    """Of ten endpoints in three protocols."""
    return Found(both_kinds())


def texts(table: Table, name: str) -> dict[str, str]:
    """One row by column title."""
    row = next(row for row in (*table.rows, *table.instruments) if row.texts[0] == name)
    return {column.title: text for column, text in zip(table.columns, row.texts, strict=True)}


def slo(backend: str, rate: float | None, high: float | None, **changes: Any) -> Record:
    """The search's finding: the highest rate, and where its bracket ends."""
    figures = {"images_per_s": rate, "images_per_s_low": rate, "images_per_s_high": high}
    return a_load_record("slo", backend=backend, **{**figures, **changes})


def sweep(backend: str, one: float, many: float, rank: int | None = 1, **changes: Any) -> list[Record]:
    """One client and eight."""
    cells = []
    for clients, rate in ((1, one), (8, many)):
        figures = {"images_per_s": rate, "images_per_s_low": rate * 0.99, "images_per_s_high": rate * 1.01, "rank": rank}
        more = changes if clients == 8 else {}
        place = {"scenario": f"c{clients:02}", "concurrency": clients}
        cells.append(a_load_record("clients", backend=backend, **{**place, **figures, **more}))
    return cells


def test_cells_under_load_flood_nothing_of_one_client() -> None:
    """Tables, answers, comparison, what could not be ranked: as if they were not there."""
    both = both_kinds()
    plain = [record for record in both if record.kind not in section_under_load.KINDS]
    assert len(plain) < len(both)
    assert answers(both) == answers(plain)
    assert unranked(both) == unranked(plain)
    one, other = build_report(a_stored_run(both)), build_report(a_stored_run(plain))
    assert [table.key for table in tables_of(section_of(one, "speed"))] == ["single"], "batch128 was not measured"
    assert tables_of(section_of(one, "speed")) == tables_of(section_of(other, "speed"))
    assert section_of(one, "again").blocks[0] == section_of(other, "again").blocks[0]
    assert section_of(other, "load").blocks == ()
    assert compare(a_stored_run(both), a_stored_run(both)) == compare(a_stored_run(plain), a_stored_run(plain))


def test_run_of_load_alone_has_its_answer() -> None:
    """And does not say that it compared nothing."""
    report = build_report(a_stored_run(list(under_load())))
    assert tables_of(section_of(report, "speed")) == []
    assert texts_of(section_of(report, "answer"))[0].startswith("Under 15 ms at p99, over v2-grpc triton-grpc carries")


def test_protocols_stand_together_fastest_first(section: Found) -> None:
    """In every table alike; null is an instrument."""
    for table in (*section.sweep, *section.levels):
        protocols = [row.texts[1] for row in table.rows]
        assert list(dict.fromkeys(protocols)) == ["v2-grpc", "raw", "v1-json"]
        assert protocols == sorted(protocols, key=["v2-grpc", "raw", "v1-json"].index)
        assert {row.record.backend for row in table.instruments} == {"null"}
    assert {row.texts[0] for row in section.sweep[0].rows} == {
        *(f"{made.backend}-{made.endpoint}" for made in MADE),
        "tensorflow-serving-rest",
    }


def test_sweep_shows_each_number_of_clients_and_the_gain(section: Found) -> None:
    """Marked where it is not VALID; a tail that n does not support is the next lower one, named."""
    speeds, tails = section.sweep
    mosec = texts(speeds, "mosec-rest")
    assert (mosec["1 client"], mosec["32 clients"]) == ("588", "2,111")
    assert mosec["Gain"].startswith("3.59 [")
    assert texts(speeds, "triton-grpc")["32 clients"] == "2,667 †"
    assert "† CLIENT_BOUND." in speeds.note
    assert texts(speeds, "tensorflow-serving-rest")["8 clients"] == MISSING
    assert texts(tails, "ray-serve-rest")["8 clients"].endswith("(p90)")
    assert "459" in tails.note


def test_open_loop_of_a_client_that_fell_behind_is_never_shown_as_the_servers(section: Found) -> None:
    """No figure, only the mark; a closed loop's figure is what both reach together."""
    by_load = section.levels[0]
    assert texts(by_load, "nnef-raw")["90 %"] == "†"
    bound = a_load_record("open-loop", verdict=Verdict.CLIENT_BOUND)
    assert figure(bound, lambda record: number(record.images_per_s)) == "†"
    assert not has_latency(bound)
    assert figure(replace(bound, arrival=Arrival.CLOSED_LOOP), lambda _: "7") == "7 †"


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (Verdict.VALID, "7"),
        (Verdict.UNSTABLE, "7 ~"),
        (Verdict.OVERSUBSCRIBED, "7 ‡"),
        (Verdict.CACHED, "7 §"),
        (Verdict.WRONG_ANSWERS, "wrong"),
        (Verdict.FAILED, "failed"),
        (Verdict.NOT_MEASURED, MISSING),
    ],
)
def test_figure_carries_its_verdict(verdict: Verdict, shown: str) -> None:
    """What is worth nothing has no figure."""
    assert figure(a_load_record("open-loop", verdict=verdict), lambda _: "7") == shown


def test_levels_are_tables_by_arrival_and_by_what_was_offered() -> None:
    """Parts of the peak and rates are not one axis."""
    cells = [
        a_load_record("open-loop"),
        a_load_record("open-loop", scenario="poisson30", load=0.3),
        a_load_record("open-loop", scenario="poisson-1000rps", load=None, rate_per_s=1000.0),
        a_load_record("open-loop", scenario="poisson-200rps", load=None, rate_per_s=200.0),
        a_load_record("open-loop", scenario="constant50", load=0.5, arrival=Arrival.CONSTANT),
    ]
    found = Found(cells).levels
    titles = [[column.title for column in table.columns[2:]] for table in found]
    assert titles == [["Peak/s", "30 %", "70 %"], ["200/s", "1,000/s"], ["Peak/s", "50 %"]]


def test_equal_load_is_the_one_nearest_to_seventy_percent() -> None:
    """Of those that have a latency to show; Poisson before constant."""
    endpoints = endpoints_of(list(under_load()))
    level = equal_load(endpoints)
    assert level is not None
    assert level.scenario == "poisson70"
    assert [level.value for level in levels_of(endpoints) if level.arrival is Arrival.POISSON] == list(LOADS)
    assert concurrencies(endpoints) == [1, 2, 4, 8, 16, 32]
    only = [a_load_record("open-loop", scenario="poisson90", load=0.9)]
    assert getattr(equal_load(endpoints_of(only)), "scenario", None) == "poisson90"
    assert equal_load(endpoints_of([replace(only[0], verdict=Verdict.CLIENT_BOUND)])) is None


def test_peak_is_the_mean_of_those_that_its_levels_are_parts_of() -> None:
    """Not the one that happened to be seen first; and none of a server that answered wrongly."""
    cells = [
        a_load_record("open-loop", scenario=f"poisson{load}", load=load / 100, peak_per_s=peak, verdict=Verdict.VALID)
        for load, peak in ((50, 1000.0), (80, 2000.0))
    ]
    name = endpoints_of(cells)[0].name
    assert texts(Found(cells).levels[0], name)["Peak/s"] == "1,500"
    wrong = [replace(cell, verdict=Verdict.WRONG_ANSWERS, reason="x") for cell in cells]
    assert texts(Found(wrong).levels[0], name)["Peak/s"] == MISSING
    assert endpoints_of(wrong)[0].reached == 0


def test_limit_has_its_bracket_goodput_and_share_of_the_peak(section: Found) -> None:
    """None that held it is said, not dropped."""
    (table,) = section.limits
    assert table.title == "Highest rate with p99 under 15 ms"
    row = texts(table, "kserve-grpc")
    assert row["Bracket"] == "538 to 577"
    assert row["Of its peak"] == "70 %"
    assert row["Goodput/s"] == "537"
    assert texts(table, "ray-serve-rest")["Highest rate/s"] == "none held it"
    assert texts(table, "tensorflow-serving-rest")["Verdict"] == "NOT_MEASURED"


def test_search_without_an_end_says_so() -> None:
    """Its true rate may be anything above."""
    found = Found([slo("a", 500.0, None)])
    assert texts(found.limits[0], "a-rest")["Bracket"] == "from 500, no end found"


def test_closed_loop_stands_beside_the_open_one() -> None:
    """The sweep's single client, or the scenario of one client where there was no sweep."""
    found = Found(both_kinds()).loops
    assert found is not None
    row = texts(found, "bentoml-rest")
    assert float(row["Open loop, 70 %: p99 ms"]) > 4 * float(row["Closed loop, 1 client: p99 ms"])
    alone = Found([a_load_record("open-loop", backend="flask"), a_record(latency_p99_s=0.0123)]).loops
    assert alone is not None
    assert texts(alone, "flask-rest")["Closed loop, 1 client: p99 ms"] == "12.3"
    assert Found([a_load_record("open-loop")]).loops is None


def test_answer_under_a_limit_has_the_factor_of_the_brackets() -> None:
    """Within each protocol; who is surely behind is told by how much."""
    cells = [
        slo("fast", 800.0, 840.0),
        slo("slow", 400.0, 420.0),
        slo("last", 100.0, 110.0),
        slo("raw", 900.0, 950.0, protocol="raw"),
    ]
    section = Found(cells)
    assert section.answers == (
        "Under 15 ms at p99, over raw raw-rest carries 900 requests/s, the only one; over v1-json fast-rest carries "
        "800 requests/s, 2.00 times (1.90 to 2.10) the rate of slow-rest.",
    )
    assert "8.00 times (7.27 to 8.40) that of the last, last-rest" in section.details[0]


def test_overlapping_brackets_are_a_tie() -> None:
    """Also with a search that found no end."""
    (answer,) = Found([slo("a", 800.0, 840.0), slo("b", 790.0, 805.0), slo("c", 100.0, 110.0)]).answers
    assert "a-rest and b-rest cannot be told apart with 800 to 790 requests/s, of which a-rest carries 8.00 times" in answer
    (answer,) = Found([slo("a", 800.0, 840.0), slo("b", 400.0, None)]).answers
    assert "a-rest and b-rest cannot be told apart" in answer


def test_answer_names_who_could_not_be_compared() -> None:
    """A client that was the limit, a limit that nothing held, a doubtful leader."""
    cells = [
        slo("a", 800.0, 840.0, verdict=Verdict.UNSTABLE),
        slo("b", 9000.0, 9100.0, verdict=Verdict.CLIENT_BOUND),
        slo("c", 0.0, None),
    ]
    section = Found(cells)
    assert (
        "a-rest (UNSTABLE) carries 800 requests/s, the only one (b-rest (CLIENT_BOUND) cannot be compared)"
        in section.answers[0]
    )
    assert "c-rest held it at no rate that was tried" in section.details[0]
    assert "c-rest held it at no rate" in Found([cells[2]]).answers[0]
    nothing = slo("a", None, None, verdict=Verdict.NOT_MEASURED, reason="x")
    assert Found([nothing]).answers == ("Under 15 ms at p99, no cell can be compared.",)


def test_answer_of_many_clients() -> None:
    """How many times as many as with one, with the interval that both allow."""
    assert Found(sweep("a", 500.0, 700.0)).answers == (
        "With 8 clients, over v1-json a-rest answers 700 requests/s, 1.40 times (1.37 to 1.43) as many as with one.",
    )
    (answer,) = Found(sweep("a", 500.0, 501.0)).answers
    assert "as many as with one as far as this run can tell" in answer
    (answer,) = Found([*sweep("a", 500.0, 700.0), *sweep("b", 400.0, 690.0)]).answers
    assert "a-rest and b-rest are tied; a-rest answers 700" in answer
    bound = sweep("b", 500.0, 900.0, rank=None, verdict=Verdict.CLIENT_BOUND, reason="x")
    (answer,) = Found([*sweep("a", 500.0, 700.0), *bound]).answers
    assert answer.endswith("and b-rest (CLIENT_BOUND) at least 900.")


def test_answer_of_many_protocols_is_short_and_the_details_have_all() -> None:
    """Three protocols at most; the rest is counted, and told below."""
    section = Found([slo(f"a{n}", 100.0 * n, 101.0 * n, protocol=f"p{n}") for n in range(1, 6)])
    assert "; 2 more protocols below." in section.answers[0]
    assert all(f"over p{n} " in section.details[0] for n in range(1, 6))
    section = Found([slo(f"a{n}", 100.0 * n, 101.0 * n, protocol=f"p{n}") for n in range(1, 5)])
    assert "; 1 more protocol below." in section.answers[0]


def test_tails_at_equal_load_claim_no_order(section: Found) -> None:
    """From and to, a protocol at a time."""
    assert section.tails.startswith(
        "At 70 % of each one's own peak, p99 goes from 2.91 ms (triton-grpc) to 13.5 ms (kserve-grpc)"
    )


def test_what_could_not_be_compared_is_counted(section: Found) -> None:
    """By verdict."""
    assert section.unranked == "18 of 143 cells under load could not be compared: 5 CLIENT_BOUND, 13 NOT_MEASURED."
    assert Found([a_load_record("slo")]).unranked == ""


def test_sixty_cells_of_one_reason_are_one_short_problem() -> None:
    """Reasons that differ in their figures alone are one; a plain cell of the same reason joins them."""
    reasons = [f"reaches {70 + n}% of what this client can do" for n in range(20)]
    bound = [
        a_load_record(
            "clients",
            backend=f"b{n % 15:02}",
            scenario=f"c{n:02}",
            concurrency=n,
            verdict=Verdict.CLIENT_BOUND,
            reason=reasons[n % 20],
        )
        for n in range(1, 61)
    ]
    (problem,) = problems_of(bound)
    assert len(problem.cells) == 12
    assert problem.cells[0] == "b01-rest (4 cells under load)"
    assert problem.cells[-1] == "4 more endpoints under load"
    assert problem.reason.startswith("reaches 71% of what")
    assert "figures of b01-rest, 1 client; those of 57 more cells differ" in problem.reason
    missing = [unmeasured("tfs", "single"), *(record for record in under_load() if record.verdict == Verdict.NOT_MEASURED)]
    (problem,) = problems_of(missing)
    assert problem.cells == ("tfs-rest (Single images)", "tensorflow-serving-rest (13 cells under load)")


def test_sweeps_of_two_sizes_of_request_have_tables_of_their_own() -> None:
    """Neither hides the other."""
    both = [*sweep("a", 500.0, 700.0), a_load_record("clients", scenario="batch32-c08", batch_size=32, images_per_s=9000.0)]
    both = [replace(record, backend="a") for record in both]
    single, _, batches, _ = Found(both).sweep
    assert texts(single, "a-rest")["8 clients"] == "700"
    assert batches.title == "Images/s by the number of clients, batches of 32"
    assert texts(batches, "a-rest") == {"Cell": "a-rest", "Protocol": "v1-json", "8 clients": "9,000"}
    assert Found(both).answers[0].startswith("With 8 clients, over v1-json a-rest answers 700 requests/s")
    rates = [a_load_record("open-loop", scenario=f"b{size}", batch_size=size, load=None, rate_per_s=200.0) for size in (1, 32)]
    titles = [table.title for table in Found(rates).levels]
    assert titles == [f"p99 in ms by the rate that is offered, poisson arrivals{size}" for size in ("", ", batches of 32")]


@pytest.mark.parametrize("name", RUNS)
def test_any_run_has_a_section_or_none(name: str) -> None:
    """Each row has a text for each column, in one line."""
    report = build_report(a_stored_run(RUNS[name]))
    for table in (*tables_of(section_of(report, "glance")), *tables_of(section_of(report, "load"))):
        for row in (*table.rows, *table.instruments):
            assert len(row.texts) == len(table.columns)
            assert all(text and text.isprintable() for text in row.texts)
    assert bool(section_of(report, "load").blocks) == any(
        record.kind in ("clients", "open-loop", "slo") for record in RUNS[name]
    )
