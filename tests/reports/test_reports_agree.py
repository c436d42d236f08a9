"""HTML, Markdown, CSV and JSON of one run say the same of every number."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.renderers.files import write_reports
from reports.store.store import StoredRun
from tests.reports.pages import Page, markdown_tables
from tests.reports.records import a_stored_run, both_kinds, finished

SHOWN = {
    "Images/s": ("images_per_s", 1),
    "Ratio": ("ratio", 1),
    "p50 ms": ("latency_p50_s", 1e3),
    "p90 ms": ("latency_p90_s", 1e3),
    "p99 ms": ("latency_p99_s", 1e3),
    "Accuracy": ("accuracy", 100),
    "Agreement": ("agreement", 100),
    "Of ceiling": ("ceiling_fraction", 100),
    "CPU ms/image": ("server_cpu_s_per_image", 1e3),
    "Largest difference": ("max_abs_diff", 1),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished and rendered run."""
    return rendered(a_stored_run(), tmp_path_factory)


@pytest.fixture(scope="module")
def folder_under_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with all load scenarios."""
    return rendered(a_stored_run(both_kinds()), tmp_path_factory)


def rendered(stored: StoredRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Through the store, as a session does it."""
    folder = finished(tmp_path_factory.mktemp("out"), stored)
    write_reports(folder, stored)
    return folder


@pytest.fixture(scope="module")
def cells(folder: Path) -> dict[str, dict[str, Any]]:
    """The cells of results.json by id."""
    document = json.loads((folder / "results.json").read_text())
    return {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in document["cells"]}


def assert_agrees(title: str, text: str, cell: dict[str, Any]) -> None:
    """A shown number is the stored one, rounded at its own last digit."""
    key, factor = SHOWN[title]
    if text == "–":
        assert cell[key] is None
        return
    digits = re.match(r"[\d,.]+(e[-+]\d+)?", text)
    assert digits, text
    shown = digits.group().replace(",", "")
    mantissa, _, power = shown.partition("e")
    last = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    assert float(shown) == pytest.approx(cell[key] * factor, abs=0.5001 * last)


def html_cells(folder: Path) -> dict[tuple[str, str], str]:
    """Shown text by cell id and column title, from the tables that carry cells."""
    found: dict[tuple[str, str], str] = {}
    for table in Page((folder / "report.html").read_text()).tables:
        for cell, texts in table.rows:
            if cell is not None:
                found |= {(cell, title): text for title, text in zip(table.head, texts, strict=True)}
    return found


def markdown_cells(folder: Path) -> dict[tuple[str, str], str]:
    """The same from report.md; a section's tables belong to its scenario."""
    found: dict[tuple[str, str], str] = {}
    scenarios = {"Single images": "single", "Batches of 128": "batch128", "Accuracy": "accuracy"}
    for section in re.split(r"^## ", (folder / "report.md").read_text(), flags=re.MULTILINE):
        scenario = scenarios.get(section.partition("\n")[0])
        for head, *rows in markdown_tables(section) if scenario else ():
            if "Verdict" not in head:  # the model's mistakes, and who differed from it
                continue
            for row in rows:
                found |= {(f"{row[head.index('Cell')]}-{scenario}", title): text for title, text in zip(head, row, strict=True)}
    return found


def test_html_shows_what_json_says(folder: Path, cells: dict[str, dict[str, Any]]) -> None:
    """Every number of every cell."""
    shown = html_cells(folder)
    had = {cell["backend"] for cell in cells.values() if cell["verdict"] != "NOT_MEASURED"}
    assert {cell for cell, _ in shown} == {name for name, cell in cells.items() if cell["backend"] in had}
    for (cell, title), text in shown.items():
        if title in SHOWN:
            assert_agrees(title, text, cells[cell])
        elif title == "Verdict":
            assert text == cells[cell]["verdict"]


def test_markdown_shows_what_html_shows(folder: Path) -> None:
    """The very same texts."""
    from_html, from_markdown = html_cells(folder), markdown_cells(folder)
    common = from_html.keys() & from_markdown.keys()
    assert {cell for cell, _ in from_markdown} == {cell for cell, _ in from_html}
    assert {title for _, title in common} >= {*SHOWN, "Rank", "Verdict"}
    assert {key: from_markdown[key] for key in common} == {key: from_html[key] for key in common}


def test_csv_says_what_json_says(folder: Path, cells: dict[str, dict[str, Any]]) -> None:
    """Every value, all digits, read as docs/results.md says."""
    table = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""])
    assert len(table) == len(cells)
    for row in table.to_dict("records"):
        cell = cells[f"{row['backend']}-{row['endpoint']}-{row['scenario']}"]
        for key, value in cell.items():
            if value is None or value == "":
                assert pd.isna(row[key])
            else:
                assert row[key] == value


def html_matrices(folder: Path) -> list[list[list[str]]]:
    """The tables with a row an endpoint, head first."""
    page = Page((folder / "report.html").read_text())
    return [
        [table.head, *(texts for cell, texts in table.rows if cell is None and len(texts) == len(table.head))]
        for table in page.tables
        if {"1 client", "Peak/s", "Bracket", "Closed loop, 1 client: p50 ms"} & set(table.head)
    ]


def test_tables_under_load_are_the_same_in_both(folder_under_load: Path) -> None:
    """Sweep, tails, levels, limits, both loops: text by text, but for the protocol, which is a heading in HTML."""
    text = (folder_under_load / "report.md").read_text()
    section = text[text.index("## Under load") : text.index("## What could not be measured")]
    from_markdown: list[list[list[str]]] = []
    for head, *rows in markdown_tables(section):
        rows = [[row[0], *row[2:]] for row in rows]
        if from_markdown and from_markdown[-1][0] == [head[0], *head[2:]] and rows[0][0].startswith("null-"):
            from_markdown[-1] += rows
        else:
            from_markdown.append([[head[0], *head[2:]], *rows])
    assert len(from_markdown) == 6
    assert html_matrices(folder_under_load) == from_markdown


def test_tables_under_load_show_what_json_says(folder_under_load: Path) -> None:
    """Each number of the sweep and of the limit, rounded at its own last digit; nothing where its client was too slow."""
    document = json.loads((folder_under_load / "results.json").read_text())
    stored = {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in document["cells"]}
    speeds, tails, levels, _, limits, _ = html_matrices(folder_under_load)
    checked = 0
    for (head, *rows), key, factor, titles in (
        (speeds, "images_per_s", 1.0, {f"{n} client{'s' if n > 1 else ''}": f"c{n:02}" for n in (1, 2, 4, 8, 16, 32)}),
        (tails, "latency_p99_s", 1e3, {f"{n} client{'s' if n > 1 else ''}": f"c{n:02}" for n in (1, 2, 4, 8, 16, 32)}),
        (levels, "latency_p99_s", 1e3, {f"{n} %": f"poisson{n}" for n in (30, 50, 70, 80, 90)}),
        (limits, "images_per_s", 1.0, {"Highest rate/s": "slo15ms"}),
    ):
        for row in rows:
            for title, scenario in titles.items():
                text, cell = row[head.index(title)], stored[f"{row[0]}-{scenario}"]
                if text in ("–", "†", "none held it"):
                    assert not cell[key] or cell["verdict"] == "CLIENT_BOUND"
                elif not text.endswith("(p90)"):
                    digits = text.removesuffix(" †").replace(",", "")
                    assert float(digits) == pytest.approx(
                        cell[key] * factor, abs=0.5001 * 10.0 ** -len(digits.partition(".")[2])
                    )
                    checked += 1
    assert checked > 150


@pytest.mark.parametrize(
    "first",
    ["Speed against the baseline", "First taken for second", "Server says", "First answer s", "Peak memory", "Lines of code"],
)
def test_tables_beside_the_cells_are_the_same_in_both(folder: Path, first: str) -> None:
    """Gate, confused pairs, disagreements, start-up, cost, what a backend asks of its owner: text by text."""
    page = Page((folder / "report.html").read_text())
    (from_html,) = [[table.head, *(texts for _, texts in table.rows)] for table in page.tables if first in table.head]
    (from_markdown,) = [table for table in markdown_tables((folder / "report.md").read_text()) if first in table[0]]
    assert len(from_html) > 1
    assert from_markdown == from_html
