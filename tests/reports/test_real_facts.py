"""What a real backend's engine writes down is what the reports read: started, stored, read again, shown."""

import zipfile
from pathlib import Path

import pytest

from bench.contract.backend_facts import BackendFacts
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.specs.spec import BackendSpec
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.report import build_report
from reports.sections.section import Details, Pairs
from reports.store.store import load_run
from tests.fixtures.tiny import CPU, make_model, make_settings, make_tiny, probe
from tests.reports.blocks import section_of, tables_of
from tests.reports.records import a_record, a_stored_run, finished

WHEEL = "tinydep-1.0-py3-none-any.whl"


def with_a_package(root: Path) -> BackendSpec:
    """The tiny backend, with one package to install, which needs no index."""
    spec = make_tiny(root, requirements=f"./{WHEEL}\n")
    info = "tinydep-1.0.dist-info"
    with zipfile.ZipFile(spec.folder / WHEEL, "w") as wheel:
        wheel.writestr("tinydep.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydep\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return spec


@pytest.fixture
def facts(tmp_path: Path) -> BackendFacts:
    """Of a backend that was really installed and started."""
    settings, spec = make_settings(tmp_path / "cache", print, (CPU,)), with_a_package(tmp_path)
    with LocalFleet([spec], ProcessEngine(settings), make_model(tmp_path), settings) as fleet:
        fleet.start(["tiny"], probe)
        assert "tiny" in fleet.running, fleet.absent
        return fleet.running["tiny"].facts


def test_the_reports_show_what_was_installed(facts: BackendFacts, tmp_path: Path) -> None:
    """The versions, how many there are, the size, the lines and the start, in both reports."""
    assert facts.versions is not None
    assert facts.versions["tinydep"] == "1.0"
    assert facts.other == {}
    stored = load_run(finished(tmp_path / "out", a_stored_run([a_record(backend="tiny")], backends={"tiny": facts})))
    assert stored.run.backends == {"tiny": facts}
    report = build_report(stored)
    (table,) = tables_of(section_of(report, "footprint"))
    shown = {column.key: text for column, text in zip(table.columns, table.rows[0].texts, strict=True)}
    assert shown["packages"] == str(len(facts.versions))
    assert "–" not in shown.values()
    folded = [block for block in section_of(report, "setup").blocks if isinstance(block, Details)]
    (listing,) = next(block.blocks for block in folded if block.summary == "tiny")
    assert isinstance(listing, Pairs)
    assert ("versions tinydep", "1.0") in listing.pairs
    for text in (render_html(report, {}), render_markdown(report, {})):
        assert "versions tinydep" in text
