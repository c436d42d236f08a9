"""Where the time goes: the parts of one request."""

from reports.charts.request_parts import parts_chart
from reports.sections.cells.speed import pictures, tables_and_colours
from reports.sections.section import PAGE, Section, Text
from reports.store.store import StoredRun

INTRO = (
    "Of one request, from the images to the scores, in medians. The wire is what null takes for the same bytes, the model what "
    "it takes in this process without a server; what is left of the exchange is the serving: reading, dispatching, writing. It "
    "is a difference of medians, so it is rough where it is small, and where wire and model together are more than the "
    "exchange, that is not divided."
)

FINDING = "One request from the images to the scores: encoding, wire, serving, model, decoding."


def section(stored: StoredRun) -> Section:
    """A chart for each scenario of one client."""
    tables, _ = tables_and_colours(stored.records)
    drawn = any(table.rows for table in tables)
    blocks = (Text(INTRO, "intro", on=PAGE), *pictures(tables, "parts", "where the time goes", parts_chart))
    none = "This run timed no exchange."
    return Section("parts", "Where the time goes", blocks, finding=FINDING if drawn else "", heading_on=PAGE, otherwise=none)
