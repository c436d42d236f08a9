"""What the reports say of a server's CPUs and replicas: speeds, what each is worth, who cannot use more, what was shared."""

from dataclasses import replace
from typing import Any

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record, Verdict
from reports.renderers.files import draw_charts
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.load import replicas, scaling
from reports.sections.report import build_report
from reports.tables.sweeps import CPUS
from tests.reports.charts.test_speed import texts
from tests.reports.records import a_record, a_stored_run

WHY = "Its threads compute one at a time."


def on(cpus: int, backend: str, speed: float | None, efficiency: float | None, **changes: Any) -> Record:
    """A cell of so many CPUs."""
    values: dict[str, Any] = {
        "backend": backend,
        "endpoint": "rest",
        "protocol": "v1-json",
        "scenario": f"cpus{cpus:02}",
        "title": f"{cpus} CPU{'s' * (cpus > 1)}",
        "kind": "scaling",
        "concurrency": 32,
        "cpus": cpus,
        "images_per_s": speed,
        "images_per_s_low": speed and 0.99 * speed,
        "images_per_s_high": speed and 1.01 * speed,
        "cpu_efficiency": efficiency,
        "cpu_efficiency_low": efficiency and 0.98 * efficiency,
        "cpu_efficiency_high": efficiency and 1.02 * efficiency,
        "agreement": 1.0,
    }
    return a_record(**{**values, **changes})


CELLS = [
    on(1, "fastapi", 2000.0, 1.0),
    on(2, "fastapi", 3800.0, 0.95),
    on(4, "fastapi", 6800.0, 0.85, verdict=Verdict.OVERSUBSCRIBED, reason="the client has CPU 3 as well"),
    on(1, "flask", 1000.0, 1.0),
    on(2, "flask", 1200.0, 0.6),
    on(4, "flask", 1400.0, 0.35),
    on(1, "dev", 500.0, 1.0),
    on(2, "dev", None, None, verdict=Verdict.NOT_MEASURED, reason=WHY),
    on(4, "dev", None, None, verdict=Verdict.NOT_MEASURED, reason=WHY),
    on(1, "null", 9000.0, None, role="ceiling", runtime="none"),
    on(2, "null", 9000.0, None, role="ceiling", runtime="none"),
    on(4, "null", 9000.0, None, role="ceiling", runtime="none"),
]


def test_the_table_has_speeds_and_what_each_cpu_is_worth() -> None:
    """A row an endpoint, marks beside what is not VALID, no worth on the fewest, none of an instrument."""
    table = scaling.GROWTH.table(scaling.GROWTH.cells(CELLS))
    titles = ["1 CPU", "2 CPUs", "4 CPUs", "Each of 2 CPUs", "Each of 4 CPUs"]
    assert [column.title for column in table.columns] == ["Cell", "Protocol", *titles]
    rows = {row.texts[0]: row.texts[2:] for row in (*table.rows, *table.instruments)}
    assert rows["fastapi-rest"] == ("2,000", "3,800", "6,800 ‡", "0.950 [0.931, 0.969]", "0.850 [0.833, 0.867] ‡")
    assert rows["flask-rest"][-1] == "0.350 [0.343, 0.357]"
    assert rows["dev-rest"] == ("500", "–", "–", "–", "–")
    assert rows["null-rest"] == ("9,000", "9,000", "9,000", "–", "–")
    assert "‡ OVERSUBSCRIBED" in table.note


def test_the_sentence_says_who_gains_most_and_least() -> None:
    """On the most CPUs over the fewest, with the verdict where it is not VALID."""
    assert scaling.answers(CELLS) == (
        "On 4 CPUs fastapi-rest (OVERSUBSCRIBED) answers 3.40 times (3.33 to 3.47) what it does on 1; "
        "flask-rest answers 1.40 times (1.37 to 1.43) what it does on 1.",
    )
    assert scaling.answers([on(1, "flask", 1000.0, 1.0)]) == (), "one number of CPUs says nothing of scaling"
    assert scaling.answers([]) == ()


def test_both_reports_say_who_cannot_use_more_and_what_was_shared() -> None:
    """In the server's own words, once; what a shared CPU means; without cells there is no section."""
    run = a_stored_run(CELLS, startup=()).run
    backends = {f"fastapi-{count}cpus": BackendFacts(server_cpus=tuple(range(count))) for count in (1, 2, 4)}
    environment = {**run.environment, "client_cpu": 3}
    report = build_report(a_stored_run(CELLS, startup=(), backends=backends, environment=environment))
    for shown in (render_html(report, draw_charts(report)), render_markdown(report, {})):
        assert shown.count("dev-rest, not measured on 2 CPUs and 4 CPUs: Its threads compute one at a time.") == 1
        assert "On 4 CPUs the client had one of the server" in shown
        assert scaling.answers(CELLS)[0] in shown
        assert "Each of 4 CPUs" in shown
    assert "Scaling with CPUs" not in render_markdown(build_report(a_stored_run([a_record()], startup=())), {})


def test_the_picture_has_a_line_for_each_endpoint() -> None:
    """From the fewest CPUs to the most that it has a figure for; none where only one number was measured."""
    chart = draw_charts(build_report(a_stored_run(CELLS, startup=())))["scaling"]
    for picture in (chart.svg, chart.wide, chart.narrow):
        shown = texts(picture)
        assert {"1 CPU", "2 CPUs", "4 CPUs", "fastapi-rest  6,800/s", "flask-rest  1,400/s", "dev-rest  500/s on 1 CPU"} <= set(
            shown
        )
        assert "null, the ceiling  9,000/s" in shown
    assert "fastapi-rest 2,000 to 6,800/s" in chart.alt
    (fastapi, *_) = scaling.GROWTH.cells(CELLS).endpoints
    assert list(CPUS.shown(fastapi)) == [1, 2, 4]
    assert draw_charts(build_report(a_stored_run([CELLS[0], CELLS[3]], startup=()))) == {}


def test_replicas_have_a_section_of_their_own() -> None:
    """The same table, sentence and picture, in its own words; nothing of it where only CPUs were measured."""
    cells = [
        replace(record, scenario=f"replicas{n:02}", title=f"{n} replica{'s' * (n > 1)}", kind="replicas", cpus=None, replicas=n)
        for record in CELLS
        for n in [record.cpus or 0]
    ]
    backends = {f"flask-{count}replicas": BackendFacts(server_cpus=tuple(range(count))) for count in (1, 2, 4)}
    environment = {**a_stored_run(cells, startup=()).run.environment, "client_cpu": 1}
    report = build_report(a_stored_run([*cells, *CELLS], startup=(), backends=backends, environment=environment))
    charts = draw_charts(report)
    for shown in (render_html(report, charts), render_markdown(report, {})):
        assert "Scaling with replicas" in shown
        assert "With 2 replicas and 4 replicas the client had a CPU that one of them has" in shown
        assert "dev-rest, not measured with 2 replicas and 4 replicas: Its threads compute one at a time." in shown
        assert "Each of 4 replicas" in shown
    assert replicas.answers(cells) == (
        "With 4 replicas fastapi-rest (OVERSUBSCRIBED) answers 3.40 times (3.33 to 3.47) what it does with 1; "
        "flask-rest answers 1.40 times (1.37 to 1.43) what it does with 1.",
    )
    assert {"1 replica", "4 replicas", "dev-rest  500/s with 1 replica"} <= set(texts(charts["replicas"].svg))
    assert {"1 CPU", "4 CPUs"} <= set(texts(charts["scaling"].svg))
    assert "Scaling with replicas" not in render_markdown(build_report(a_stored_run(CELLS, startup=())), {})
