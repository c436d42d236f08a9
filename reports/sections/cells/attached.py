"""Servers that ran already: where they are, the latency floor of the path to them, and what they report about their model."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.contract.records import Record
from reports.sections.section import PAGE, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import cut, one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, number
from reports.tables.table import text_table

ENGINE = "attached"
NOT_OURS = "not measured (not ours)"
NOTE = (
    "They were asked where they run. Nothing of them was started, stopped or looked into: CPU, memory, energy and start-up "
    f"are {NOT_OURS}. Connecting and the health route's round trip are the floor of the path: what an answer takes beyond it "
    "is the server's. A server that is not on this machine is held against no ceiling, for null is on this machine: whether "
    "the client was the bottleneck is decided by its own share of the exchange."
)
_TITLE = "Servers that ran already"
_LONGEST = 120
_COLUMNS = (
    Column("endpoint", "Endpoint", "One protocol of one server.", numeric=False),
    Column("url", "URL", "Where it was asked.", numeric=False),
    Column("connect", "Connect ms", "Until a connection can be used, TLS and all; the median of three."),
    Column("round-trip", "Round trip ms", "Of the health route, whatever it says; the median of five."),
    Column("client", "Client's share", "The most that the client itself computed of the time of a cell's exchanges."),
    Column("model", "Model", "Its name and versions, as far as it says them.", numeric=False),
    Column("signature", "Signature", "Inputs and outputs, as far as it says them.", numeric=False),
)


def section(stored: StoredRun) -> Section:
    """A row for each endpoint; empty if all servers were started here."""
    known = {name: facts.attached for name, facts in stored.run.backends.items() if facts.attached}
    rows = [
        _texts(f"{name}-{endpoint}", facts, [r for r in stored.records if (r.backend, r.endpoint) == (name, endpoint)])
        for name, endpoints in known.items()
        for endpoint, facts in endpoints.items()
    ]
    blocks = (Text(NOTE, "intro", on=PAGE), Tabular(text_table(_TITLE, _COLUMNS, rows))) if rows else ()
    return Section("attached", _TITLE, blocks, finding="Where they are, how far away, and what they say of their model.")


def _texts(name: str, facts: Mapping[str, Any], cells: Sequence[Record]) -> tuple[str, ...]:
    shares = [record.client_share for record in cells if record.client_share is not None]
    return (
        one_line(name),
        _text(facts.get("url")),
        _ms(facts.get("connect_s")),
        _ms(facts.get("round_trip_s")),
        f"{max(shares):.0%}" if shares else MISSING,
        " ".join(filter(None, (_text(facts.get("model"), ""), _versions(facts)))) or MISSING,
        " → ".join(filter(None, (_listed(facts.get("inputs")), _listed(facts.get("outputs"))))) or MISSING,
    )


def _ms(seconds: object) -> str:
    return number(1e3 * seconds) if isinstance(seconds, int | float) else MISSING


def _text(value: object, otherwise: str = MISSING) -> str:
    return cut(one_line(value), _LONGEST) if isinstance(value, str) and value else otherwise


def _versions(facts: Mapping[str, Any]) -> str:
    listed = _listed(facts.get("versions"))
    return f"(version {listed})" if listed else ""


def _listed(value: object) -> str:
    return cut(one_line(", ".join(map(str, value))), _LONGEST) if isinstance(value, list | tuple) else ""
