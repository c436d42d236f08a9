"""What the reports say of servers that burn CPU while nobody asks them."""

from __future__ import annotations

from typing import Any

from bench.contract.records import IDLE_CPU_FRACTION, NETWORK, PAUSE_FAILED, PAUSED, PAUSED_CPU_FRACTION, WAY_OUT
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.renderers.terminal import summary_lines
from reports.sections.caveats import idle_sentences, isolation_sentences
from reports.sections.report import build_report
from tests.reports.blocks import section_of, texts_of
from tests.reports.records import NASTY, a_record, a_stored_run

QUIET = {IDLE_CPU_FRACTION: 0.0002, PAUSED: False}
RAY = {IDLE_CPU_FRACTION: 0.0683, PAUSED: True, PAUSED_CPU_FRACTION: 0.0}


def test_all_quiet_is_nothing_to_tell() -> None:
    """Neither of a run whose servers idle, nor of an older one that did not look."""
    assert idle_sentences({"flask": QUIET, "null": {}}) == ()
    assert idle_sentences({"flask": {"size_bytes": 3}}) == ()


def test_every_report_says_who_was_paused_and_how_much_it_burned() -> None:
    """Terminal, Markdown and HTML."""
    view = build_report(a_stored_run([a_record()], backends={"flask": QUIET, "ray-serve": RAY}))
    told = "because it burns CPU while nobody asks it: ray-serve (6.8 % of a core, 0 % while paused)."
    for text in ("\n".join(summary_lines(view)), render_markdown(view, {}), render_html(view, {})):
        assert told in " ".join(text.replace("\\", "").split())


def test_who_could_not_be_kept_paused_is_a_warning() -> None:
    """Told by the engine, or by the CPU time that it used all the same."""
    for facts in ({**RAY, PAUSE_FAILED: "no engine"}, {**RAY, PAUSED_CPU_FRACTION: 0.05}):
        sentences = idle_sentences({"ray-serve": facts})
        assert "Could not be kept paused, and used CPU meanwhile: ray-serve." in sentences[1]


def test_what_is_not_known_is_said() -> None:
    """An engine elsewhere shows no CPU times."""
    facts: dict[str, dict[str, Any]] = {"flask": {IDLE_CPU_FRACTION: None, PAUSED: False}, "null": {}}
    (sentence,) = idle_sentences(facts)
    assert "its engine shows no CPU times: flask." in sentence


def test_nasty_facts_break_nothing() -> None:
    """A stored run may hold anything."""
    facts = {NASTY: {PAUSED: NASTY, IDLE_CPU_FRACTION: NASTY, PAUSED_CPU_FRACTION: []}}
    assert all("\n" not in sentence for sentence in idle_sentences(facts))


SHUT = {NETWORK: "internal", WAY_OUT: None}
ALLOWED = {NETWORK: "egress", WAY_OUT: "anywhere (--allow-egress)"}


def test_who_is_shut_in_is_nothing_to_tell() -> None:
    """Neither are processes, and older runs, of which nothing is recorded."""
    assert isolation_sentences({"flask": SHUT, "null": {}, "fastapi": {"size_bytes": 3}}) == ()


def test_who_could_reach_more_is_named_with_what_and_why() -> None:
    """Among the report's warnings, those of one reason together."""
    run = a_stored_run([a_record()], backends={"flask": ALLOWED, "nnef": SHUT, "null": ALLOWED})
    told = "Not shut in, for it could reach anywhere (--allow-egress): flask and null."
    assert told in texts_of(section_of(build_report(run), "warnings"))


def test_published_ports_are_told() -> None:
    """Who is shut in all the same is reached another way, and slower."""
    (sentence,) = isolation_sentences({"flask": {NETWORK: "published", WAY_OUT: None}})
    assert "not on this machine: flask. A proxy of the engine" in sentence


def test_nasty_facts_of_isolation_break_nothing() -> None:
    """A stored run may hold anything."""
    facts: dict[str, dict[str, Any]] = {NASTY: {NETWORK: [], WAY_OUT: NASTY}, "other": {WAY_OUT: 3}}
    assert all("\n" not in sentence for sentence in isolation_sentences(facts))
