"""Servers that burn CPU while idle: found, paused outside their slices, measured all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from bench import idle
from bench.campaign import PAUSED, Campaigns
from bench.cells import Cell
from bench.contract import FloatArray
from bench.load.interleave import Settings
from bench.records import Verdict
from bench.scenarios import Scenario
from tests.bench.scripted import Records, ScriptedSystem, backend, measuring, right, scripted

SLICE_S = 0.08
SINGLE = Scenario("single", batch_size=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter looks than in earnest."""
    monkeypatch.setattr(idle, "_SETTLE_S", 0.01)
    monkeypatch.setattr(idle, "_WINDOW_S", 0.05)
    monkeypatch.setattr(idle, "_LEAST_SLICE_S", SLICE_S)


@contextlib.contextmanager
def two_servers(burns: float) -> Iterator[tuple[Campaigns, dict[str, Cell], Records, dict[str, ScriptedSystem]]]:
    """`a`, which burns so much, and `b`, which does not; each notes when it was asked while it was paused."""
    systems: dict[str, ScriptedSystem] = {}

    def asked(name: str, images: FloatArray) -> bytes:
        assert not systems[name].paused, "a paused server was asked"
        others = [system for other, system in systems.items() if other != name and system.burns > idle.BURNS_ABOVE]
        # before its first pause come readiness and the look at its idling
        assert all(other.paused or not other.switches for other in others), "a burner was awake in somebody else's slice"
        return right(images)

    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            systems[name] = stack.enter_context(scripted(name, partial(asked, name)))
        systems["a"].burns, systems["b"].burns = burns, 0.0001
        campaigns, cells, records = measuring(dict(systems), SINGLE, Settings(max_time_s=0.3))
        yield campaigns, cells, records, systems


def test_a_burner_is_paused_outside_its_slices_and_measured() -> None:
    """Both are valid; the burner has fewer, longer slices, and is asleep in the end."""
    with two_servers(burns=0.2) as (campaigns, cells, records, systems):
        campaigns.result(cells["a"])
        for name in ("a", "b"):
            assert records[name][0].verdict in (Verdict.VALID, Verdict.UNSTABLE), records[name][0].reason
        assert systems["a"].paused
        assert systems["a"].switches > 2
        assert systems["b"].switches == 0
        samples = records["a"][1]
        other = records["b"][1]
        assert samples is not None
        assert other is not None
        assert len(set(samples.round_index)) < len(set(other.round_index)) / 2


def test_who_does_not_burn_is_never_paused() -> None:
    """Half a per cent of a core is what ordinary event loops cost."""
    with two_servers(burns=0.005) as (campaigns, cells, records, systems):
        campaigns.result(cells["a"])
        assert records["a"][0].verdict in (Verdict.VALID, Verdict.UNSTABLE)
        assert systems["a"].switches == 0


def test_the_run_says_who_was_paused() -> None:
    """As facts of the backend, from which report and warning are made."""
    with two_servers(burns=0.2) as (campaigns, cells, _, _):
        facts: dict[str, object] = {}
        object.__setattr__(campaigns._plan, "emit_run", facts.update)
        campaigns.result(cells["a"])
        a, b = facts["a"], facts["b"]
        assert isinstance(a, dict)
        assert isinstance(b, dict)
        assert a[PAUSED]
        assert a["idle_cpu_fraction"] == pytest.approx(0.2, rel=0.3)
        assert not b[PAUSED]


def test_a_burner_sleeps_again_when_its_slice_fails() -> None:
    """Whatever happens inside, the others must not pay for it."""
    system = ScriptedSystem(backend("a"), None)
    burner = idle.Burner(system, 0.5)
    burner.pause()

    def interrupted() -> None:
        with burner.awake():
            assert not system.paused
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert system.paused


def test_slices_pay_for_dear_switching() -> None:
    """At most a tenth of the time goes into pausing and waking."""
    assert idle.Burner(ScriptedSystem(backend("a"), None), 0.5, switch_s=0.05).slice_s == pytest.approx(0.5)
    assert idle.Burner(ScriptedSystem(backend("a"), None), 0.5, switch_s=0.0).slice_s == pytest.approx(SLICE_S)


def test_what_cannot_be_read_is_not_judged() -> None:
    """A remote engine tells no CPU times: nobody waits for them."""
    assert idle.idle_cpu_fractions({"a": ScriptedSystem(backend("a"), None)}) == {}
