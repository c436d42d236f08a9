"""Servers that burn CPU while idle: found, paused outside their slices, measured all the same."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest

from bench.contract.backend_facts import PAUSED_ABOVE, BackendFacts
from bench.contract.cells import Cell
from bench.contract.errors import BackendFailed
from bench.contract.records import Verdict
from bench.contract.scenarios import Scenario
from bench.contract.tensors import FloatArray
from bench.experiments.scenario_runner import Campaigns
from bench.load.scheduler import Settings
from bench.machine import idle_cpu
from tests.bench.scripted import Records, ScriptedSystem, backend, ears_of, measuring, right, scripted, spend

SLICE_S = 0.04
SINGLE = Scenario("single", batch_size=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter looks than in earnest."""
    monkeypatch.setattr(idle_cpu, "_SETTLE_S", 0.01)
    monkeypatch.setattr(idle_cpu, "_WINDOW_S", 0.05)
    monkeypatch.setattr(idle_cpu, "_LEAST_SLICE_S", SLICE_S)
    monkeypatch.setattr(idle_cpu, "_WAKE_S", 0.01)


@contextlib.contextmanager
def two_servers(burns: float) -> Iterator[tuple[Campaigns, dict[str, Cell], Records, dict[str, ScriptedSystem]]]:
    """`a`, which burns so much, and `b`, which does not; each notes when it was asked while it was paused."""
    systems: dict[str, ScriptedSystem] = {}

    def asked(name: str, images: FloatArray) -> bytes:
        assert not systems[name].paused, "a paused server was asked"
        others = [system for other, system in systems.items() if other != name and system.burns > PAUSED_ABOVE]
        others = [system for system in others if system.disobeys_from is None]
        # before its first pause come readiness and the look at its idling
        assert all(other.paused or not other.switches for other in others), "a paused server was awake in somebody else's slice"
        return right(images)

    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            systems[name] = stack.enter_context(scripted(name, partial(asked, name)))
        systems["a"].burns, systems["b"].burns = burns, 0.0001
        campaigns, cells, records = measuring(dict(systems), SINGLE, Settings(max_time_s=0.3))
        yield campaigns, cells, records, systems


def test_a_burner_is_paused_outside_its_slices_and_measured() -> None:
    """Both are valid; the paused server has fewer, longer slices, is asleep in the end, and the run says how much it burned."""
    with two_servers(burns=0.2) as (campaigns, cells, records, systems):
        facts = ears_of(campaigns).known
        campaigns.result(cells["a"])
        for name in ("a", "b"):
            # these servers are threads of this process, so their speed, and whether it looks like a cache's, says nothing
            assert records[name][0].verdict in (Verdict.VALID, Verdict.UNSTABLE, Verdict.CACHED), records[name][0].reason
        assert systems["a"].paused
        assert systems["a"].switches > 2
        assert systems["b"].switches == 0
        samples = records["a"][1]
        assert samples is not None
        assert len(set(samples.round_index)) == idle_cpu.LEAST_SLICES, "as few slices as support an interval, for they are long"
        assert records["a"][0].ratio_low is not None
    assert facts["a"].paused_while_idle
    assert facts["a"].idle_cpu_fraction == pytest.approx(0.2, rel=0.3)
    assert facts["a"].paused_cpu_fraction == pytest.approx(0.0, abs=PAUSED_ABOVE)
    assert (facts["b"].paused_while_idle, facts["b"].paused_cpu_fraction) == (False, None)
    assert facts["reference"] == BackendFacts(), "an instrument in this process is no server"


def test_who_does_not_burn_is_never_paused() -> None:
    """Half a per cent of a core is what ordinary event loops cost."""
    with two_servers(burns=0.005) as (campaigns, cells, records, systems):
        campaigns.result(cells["a"])
        assert records["a"][0].verdict in (Verdict.VALID, Verdict.UNSTABLE)
        assert systems["a"].switches == 0


def test_who_burns_on_while_paused_is_told() -> None:
    """An engine that says that it paused a server, and did not."""
    system = ScriptedSystem(backend("a"), None)
    system.burns = 0.2
    paused_server = idle_cpu.PausedServer(system, 0.2)
    paused_server.pause()
    system.paused = False
    spend(0.01)
    with paused_server.awake():
        pass
    assert paused_server.paused_cpu_s / paused_server.paused_s == pytest.approx(0.2, rel=0.3)


@pytest.mark.alone
def test_what_it_does_when_it_wakes_is_not_timed() -> None:
    """The first answer after it woke is slow, and in no figure; it is verified all the same."""
    late_s = 0.05

    def late(system: ScriptedSystem, images: FloatArray) -> bytes:
        if system.switches > woken[0]:
            woken[0] = system.switches
            spend(late_s)
        return right(images)

    woken = [1]
    systems: dict[str, ScriptedSystem] = {}
    with contextlib.ExitStack() as stack:
        systems["a"] = stack.enter_context(scripted("a", lambda images: late(systems["a"], images)))
        systems["a"].burns = 0.2
        campaigns, cells, records = measuring(dict(systems), SINGLE, Settings(max_time_s=0.3))
        campaigns.result(cells["a"])
    record, samples = records["a"]
    assert samples is not None
    assert woken[0] > idle_cpu.LEAST_SLICES
    assert (samples.duration_s > late_s).sum() <= 2, "noise of the machine at most"
    assert record.answers_verified > record.exchanges + idle_cpu.LEAST_SLICES


@pytest.mark.parametrize("order", ["pause", "resume"])
def test_a_burner_that_does_not_obey_fails_alone(order: str) -> None:
    """Its row says what the engine said, with its log's end; the others are measured as if nothing had happened."""
    with two_servers(burns=0.2) as (campaigns, cells, records, systems):
        systems["a"].disobeys_from = (order, 8)
        systems["a"].log = "last words"
        facts = ears_of(campaigns).known
        campaigns.result(cells["a"])
        assert (facts["a"].pause_failed is not None) == (order == "pause"), "then the others shared their CPU with it"
        record = records["a"][0]
        assert record.verdict is Verdict.FAILED
        assert f"a: cannot {order}" in record.reason
        assert record.reason.endswith("last words")
        assert records["b"][0].verdict in (Verdict.VALID, Verdict.UNSTABLE), records["b"][0].reason


def test_a_burner_that_dies_while_it_is_paused_fails_alone() -> None:
    """It is found out when it is its turn."""
    with two_servers(burns=0.2) as (campaigns, cells, records, systems):
        systems["a"].dies_at = 8
        campaigns.result(cells["a"])
        assert records["a"][0].verdict is Verdict.FAILED
        assert "died" in records["a"][0].reason
        assert records["b"][0].verdict in (Verdict.VALID, Verdict.UNSTABLE), records["b"][0].reason


def test_a_burner_sleeps_again_when_its_slice_fails() -> None:
    """Whatever happens inside, the others must not pay for it."""
    system = ScriptedSystem(backend("a"), None)
    paused_server = idle_cpu.PausedServer(system, 0.5)
    paused_server.pause()

    def interrupted() -> None:
        with paused_server.awake():
            assert not system.paused
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert system.paused


def test_a_failing_pause_does_not_hide_what_ended_the_slice() -> None:
    """Ctrl-C stays Ctrl-C, also where the engine is gone already."""
    system = ScriptedSystem(backend("a"), None)
    paused_server = idle_cpu.PausedServer(system, 0.5)
    paused_server.pause()
    system.disobeys_from = ("pause", 0)

    def interrupted() -> None:
        with paused_server.awake():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "cannot pause" in paused_server.problem
    with pytest.raises(BackendFailed, match="cannot pause"), paused_server.awake():
        pass


def test_slices_pay_for_dear_switching() -> None:
    """At most a tenth of the time goes into pausing and waking."""
    assert idle_cpu.PausedServer(ScriptedSystem(backend("a"), None), 0.5, switch_s=0.05).slice_s == pytest.approx(0.5)
    assert idle_cpu.PausedServer(ScriptedSystem(backend("a"), None), 0.5, switch_s=0.0).slice_s == pytest.approx(SLICE_S)


def test_what_cannot_be_read_is_not_judged() -> None:
    """A remote engine tells no CPU times: nobody waits for them, nobody is paused, and the facts say that it is not known."""
    system = ScriptedSystem(backend("a"), None)
    watch = idle_cpu.IdleWatch(say=lambda text: None)
    watch.look({"a": system})
    assert watch.paused_server("a") is None
    assert watch.facts("a").as_dict() == {"idle_cpu_fraction": None, "paused_while_idle": False}
    assert watch.facts("never looked at") == BackendFacts()


def test_who_still_finishes_its_start_is_looked_at_again() -> None:
    """One quiet second is enough not to be paused, and the CPU time of its start is not counted."""
    system = ScriptedSystem(backend("a"), None)
    system.burns = 0.5
    looks = iter([0.5, 0.5, 0.001, 0.001, 0.001])

    def nap(seconds: float) -> None:
        system.burns = next(looks)
        time.sleep(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idle_cpu, "time", SimpleNamespace(sleep=nap))
        seen = idle_cpu.idle_cpu_fractions({"a": system})
    assert seen["a"] < PAUSED_ABOVE


def test_each_server_is_looked_at_once() -> None:
    """The next scenario finds it paused already."""
    system = ScriptedSystem(backend("a"), None)
    system.burns = 0.2
    watch = idle_cpu.IdleWatch(say=lambda text: None)
    watch.look({"a": system})
    watch.look({"a": system})
    assert system.switches == 1
    assert system.paused
