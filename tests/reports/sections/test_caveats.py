"""What the reports say of servers that burn CPU while nobody asks them."""

from dataclasses import replace

from bench.contract.backend_facts import BackendFacts
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.renderers.terminal import summary_lines
from reports.sections.caveats import idle_sentences, isolation_sentences
from reports.sections.report import build_report
from tests.reports.blocks import section_of, texts_of
from tests.reports.records import NASTY, a_record, a_stored_run

QUIET = BackendFacts(idle_cpu_fraction=0.0002, paused_while_idle=False)
RAY = BackendFacts(idle_cpu_fraction=0.0683, paused_while_idle=True, paused_cpu_fraction=0.0)


def test_all_quiet_is_nothing_to_tell() -> None:
    """Neither of a run whose servers idle, nor of an older one that did not look."""
    assert idle_sentences({"flask": QUIET, "null": BackendFacts()}) == ()
    assert idle_sentences({"flask": BackendFacts(size_bytes=3)}) == ()


def test_every_report_says_who_was_paused_and_how_much_it_burned() -> None:
    """Terminal, Markdown and HTML."""
    view = build_report(a_stored_run([a_record()], backends={"flask": QUIET, "ray-serve": RAY}))
    told = "because it burns CPU while nobody asks it: ray-serve (6.8 % of a core, 0 % while paused)."
    for text in ("\n".join(summary_lines(view)), render_markdown(view, {}), render_html(view, {})):
        assert told in " ".join(text.replace("\\", "").split())


def test_who_could_not_be_kept_paused_is_a_warning() -> None:
    """Told by the engine, or by the CPU time that it used all the same."""
    for facts in (replace(RAY, pause_failed="no engine"), replace(RAY, paused_cpu_fraction=0.05)):
        sentences = idle_sentences({"ray-serve": facts})
        assert "Could not be kept paused, and used CPU meanwhile: ray-serve." in sentences[1]


def test_what_is_not_known_is_said() -> None:
    """An engine elsewhere shows no CPU times."""
    (sentence,) = idle_sentences({"flask": BackendFacts(paused_while_idle=False), "null": BackendFacts()})
    assert "its engine shows no CPU times: flask." in sentence


def test_nasty_facts_break_nothing() -> None:
    """A stored run may hold anything."""
    nasty = {"paused_while_idle": NASTY, "idle_cpu_fraction": NASTY, "paused_cpu_fraction": []}
    reach: dict[str, object] = {"network": [], "way_out": NASTY}
    for values in (nasty, {**nasty, "paused_while_idle": True}, {"pause_failed": NASTY}, reach, {"way_out": 3}):
        facts = {NASTY: BackendFacts.from_dict(values)}
        assert all("\n" not in sentence for sentence in (*idle_sentences(facts), *isolation_sentences(facts)))


SHUT = BackendFacts(network="internal", way_out=None)
ALLOWED = BackendFacts(network="egress", way_out="anywhere (--allow-egress)")


def test_who_is_shut_in_is_nothing_to_tell() -> None:
    """Neither are processes, and older runs, of which nothing is recorded."""
    assert isolation_sentences({"flask": SHUT, "null": BackendFacts(), "fastapi": BackendFacts(size_bytes=3)}) == ()


def test_who_could_reach_more_is_named_with_what_and_why() -> None:
    """Among the report's warnings, those of one reason together."""
    run = a_stored_run([a_record()], backends={"flask": ALLOWED, "nnef": SHUT, "null": ALLOWED})
    told = "Not shut in, for it could reach anywhere (--allow-egress): flask and null."
    assert told in texts_of(section_of(build_report(run), "warnings"))


def test_limits_that_do_not_hold_are_told() -> None:
    """Among the report's warnings, one sentence for each, with all who are without it."""
    lacking = BackendFacts(unmet_limits=("the engine says: no swap limit", "runs on CPUs 0,1, asked for 0"))
    run = a_stored_run([a_record()], backends={"flask": lacking, "nnef": BackendFacts(), "null": lacking})
    told = [
        text for text in texts_of(section_of(build_report(run), "warnings")) if text.startswith("Not as it was asked for: ")
    ]
    assert len(told) == 2
    assert all("flask and null" in text for text in told)


def test_published_ports_are_told() -> None:
    """Who is shut in all the same is reached another way, and slower."""
    (sentence,) = isolation_sentences({"flask": BackendFacts(network="published")})
    assert "not on this machine: flask. A proxy of the engine" in sentence
