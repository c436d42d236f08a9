"""What the reports say of containers that could reach more than they should."""

from __future__ import annotations

from typing import Any

from bench.records import NETWORK, WAY_OUT
from reports.isolation import isolation_sentences
from reports.view import build_view
from tests.reports.records import NASTY, a_record, a_stored_run

SHUT = {NETWORK: "internal", WAY_OUT: None}
ALLOWED = {NETWORK: "egress", WAY_OUT: "anywhere (--allow-egress)"}


def test_who_is_shut_in_is_nothing_to_tell() -> None:
    """Neither are processes, and older runs, of which nothing is recorded."""
    assert isolation_sentences({"flask": SHUT, "null": {}, "fastapi": {"size_bytes": 3}}) == ()


def test_who_could_reach_more_is_named_with_what_and_why() -> None:
    """Among the report's warnings, those of one reason together."""
    run = a_stored_run([a_record()], backends={"flask": ALLOWED, "nnef": SHUT, "null": ALLOWED})
    told = "Not shut in, for it could reach anywhere (--allow-egress): flask and null."
    assert told in build_view(run).warnings


def test_published_ports_are_told() -> None:
    """Who is shut in all the same is reached another way, and slower."""
    (sentence,) = isolation_sentences({"flask": {NETWORK: "published", WAY_OUT: None}})
    assert "not on this machine: flask. A proxy of the engine" in sentence


def test_nasty_facts_break_nothing() -> None:
    """A stored run may hold anything."""
    facts: dict[str, dict[str, Any]] = {NASTY: {NETWORK: [], WAY_OUT: NASTY}, "other": {WAY_OUT: 3}}
    assert all("\n" not in sentence for sentence in isolation_sentences(facts))
