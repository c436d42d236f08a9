"""What a resumed run takes over, what it measures, what it says of cells that were not side by side, and what it refuses."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.analysis.verdicts import INTERRUPTED
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.errors import BadInput
from bench.contract.records import EarlierRun, Record, Run, Samples, Verdict
from bench.contract.rows import StudyRow, StudyStep
from bench.contract.scenarios import ACCURACY, Scenario
from bench.contract.system import Absence
from bench.experiments.resume import Resume
from bench.load.scheduler import Settings
from bench.machine.run_differences import differences
from tests.bench.scripted import Records, ScriptedSystem, measuring, right, scripted

SINGLE = Scenario("single", batch_size=1)
QUICK = Settings(max_time_s=0.2)
FREE = {"strict"}
"""Options that a resumed run may have otherwise."""


def a_run(**changes: Any) -> Run:
    run = Run(
        id="earlier",
        started_utc="2026-11-22T22:13:00+00:00",
        command="pytest --benchmark-only --backend=a,b",
        engine="process",
        environment={
            "host": "bench-1",
            "cpu": "Example CPU",
            "kernel": "6.1.0",
            "memory_bytes": 8_000_000_000,
            "hypervisor": False,
            "client_cpu": 1,
            "server_cpus": [0],
            "commit": "0123456789ab+",
            "sources": {"bench": "aa" * 32, "fixtures": "bb" * 32},
        },
        dataset={"name": "little", "sha256": "cc"},
        model={"name": "little", "sha256": "dd"},
        options={"max_time_s": 3.0, "seed": 42, "strict": False},
    )
    return replace(run, **changes)


def earlier(records: Records, *names: str, **changes: Any) -> EarlierRun:
    """A run that had measured these backends."""
    chosen = {name: records[name] for name in names}
    samples = {record.id: samples for record, samples in chosen.values() if samples is not None}
    return EarlierRun("out/earlier", a_run(**changes), [record for record, _ in chosen.values()], samples)


@contextlib.contextmanager
def servers(*names: str) -> Iterator[dict[str, ScriptedSystem]]:
    """The systems by name, each answering rightly."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(scripted(name, right)) for name in names}


def measured(
    systems: Mapping[str, ScriptedSystem], first: str, resume: Resume | None = None
) -> tuple[Records, dict[str, Cell]]:
    """One campaign over them; asked for by its first cell."""
    campaigns, cells, records = measuring(dict(systems), SINGLE, QUICK, resume=resume)
    campaigns.result(cells[first])
    return records, cells


def test_only_what_is_missing_is_measured_and_nothing_that_is_there_changes() -> None:
    """The missing cell gets its record; the base is measured beside it, and keeps the record that it had."""
    with servers("a", "b", "c") as systems:
        before, _ = measured(systems, "a")
        resume = Resume(earlier(before, "a", "b"))
        after, cells = measured(systems, "c", resume)
        taken = {record.backend: record for record, _ in resume.records}
        assert resume.to_measure(list(cells.values())) == [cells["reference"], cells["a"], cells["c"]]
    assert after["c"][0].images_per_s
    assert after["c"][0].ratio_to == before["a"][0].ratio_to == "a-raw"
    assert after["c"][0].ratio is not None
    assert after["c"][0].taken_from is None
    assert after["reference"][0].taken_from is None, "it had none: it is measured"
    for name in ("a", "b"):
        assert taken[name].images_per_s == before[name][0].images_per_s
        assert taken[name].ratio == before[name][0].ratio
        assert taken[name].taken_from == "earlier"


def test_no_rank_is_claimed_between_two_campaigns() -> None:
    """The new cell has none, those taken over lose theirs and are told again, and a warning says why, with the yardstick."""
    with servers("a", "b", "c") as systems:
        before, _ = measured(systems, "a")
        assert before["a"][0].rank is not None
        resume = Resume(earlier(before, "a", "b", "reference"))
        after, _ = measured(systems, "c", resume)
    assert set(after) == {"a", "b", "c"}, "the reference is an instrument: nothing is withdrawn from it"
    assert [after[name][0].rank for name in "abc"] == [None] * 3
    assert [after[name][0].leader for name in "abc"] == [None] * 3
    (of_two,) = [line for line in resume.warnings((), {}) if line.startswith("single: c-raw")]
    assert "no rank is claimed" in of_two
    assert "a-raw" in of_two
    assert "images/s then" in of_two


def test_a_scenario_that_is_whole_keeps_its_ranks_and_starts_nothing() -> None:
    """Its results are handed out with the durations that the earlier run had measured."""
    with servers("a", "b") as systems:
        before, _ = measured(systems, "a")
    resume = Resume(earlier(before, "a", "b", "reference"))
    campaigns, cells, records = measuring(dict(systems), SINGLE, QUICK, resume=resume)  # the servers are gone
    result = campaigns.result(cells["b"])
    assert records == {}
    assert result.record == replace(before["b"][0], taken_from="earlier")
    assert list(result.duration_s) == list(before["b"][1].duration_s)  # type: ignore[union-attr]


def test_a_missing_cell_that_still_cannot_be_had_costs_no_rank() -> None:
    """Nothing new was measured, so nothing stands apart."""
    with servers("a", "b") as systems:
        before, _ = measured(systems, "a")
        resume = Resume(earlier(before, "a", "b", "reference"))
        absent = {"gone": Absence("no image")}
        campaigns, cells, records = measuring(dict(systems), SINGLE, QUICK, absent, resume=resume)
        campaigns.result(cells["gone"])
    assert set(records) == {"gone"}
    assert [record.rank for record, _ in resume.records] == [before[name][0].rank for name in ("a", "b", "reference")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: replace(record, verdict=Verdict.FAILED, reason="died"),
        lambda record: replace(record, verdict=Verdict.NOT_MEASURED, reason="no image"),
        lambda record: replace(record, verdict=Verdict.UNSTABLE, reason=f"{INTERRUPTED}; and more"),
    ],
    ids=["failed", "not measured", "interrupted"],
)
def test_what_was_not_measured_to_its_end_is_missing(spoil: Callable[[Record], Record]) -> None:
    """FAILED, NOT_MEASURED and interrupted cells are measured again; so are those whose durations were lost."""
    with servers("a") as systems:
        before, cells = measured(systems, "a")
    record, samples = before["a"]
    assert samples is not None
    for records, kept in (
        ([spoil(record)], {record.id: samples}),
        ([record], {}),
        ([record], {record.id: Samples(np.array([]), np.array([], dtype=np.int64))}),
    ):
        assert not Resume(EarlierRun("place", a_run(), records, kept)).has(cells["a"])
    assert Resume(EarlierRun("place", a_run(), [record], {record.id: samples})).has(cells["a"])


def test_a_run_that_was_resumed_itself_names_the_run_that_measured() -> None:
    """Through any number of resumptions."""
    with servers("a") as systems:
        before, _ = measured(systems, "a")
    record, samples = before["a"]
    assert samples is not None
    stored = EarlierRun("place", a_run(), [replace(record, taken_from="first")], {record.id: samples})
    assert [record.taken_from for record, _ in Resume(stored).records] == ["first"]


def test_disagreements_and_facts_come_with_their_cells() -> None:
    """Of cells that are measured again they are not kept."""
    with servers("a", "b") as systems:
        before, _ = measured(systems, "a")
    found = [Disagreement(f"{name}-raw-single", 1, "A", "B", 0.5, "C", 0.5, 1, excused=False) for name in "ab"]
    run = earlier(before, "a", disagreements=tuple(found), backends={"a": BackendFacts(size_bytes=1)})
    assert Resume(run).disagreements == found[:1]
    assert Resume(run).facts == {"a": BackendFacts(size_bytes=1)}


def test_the_replay_is_taken_over_scenario_by_scenario() -> None:
    """A scenario with a problem is replayed again; what this session replays stands for what was there."""

    def row(scenario: str, images_per_s: float, problem: str = "") -> StudyRow:
        step = StudyStep.AS_IN_2018
        return StudyRow("a", "raw", "v1-json", scenario, 1, "process", step, "c", images_per_s, None, None, 9, 1.0, problem)

    resume = Resume(earlier({}, study=(row("single", 1.0), row("batch128", 2.0, "an error"))))
    assert resume.study == [row("single", 1.0)]
    assert resume.with_study([row("batch128", 3.0)]) == (row("single", 1.0), row("batch128", 3.0))
    assert resume.with_study([row("single", 3.0)]) == (row("single", 3.0),)


def test_accuracy_is_nobodys_yardstick() -> None:
    """Its cells are measured one after the other anyway: only the missing one is."""
    with servers("a", "b") as systems:
        campaigns, cells, records = measuring(dict(systems), ACCURACY, QUICK)
        campaigns.result(cells["a"])
        assert Resume(earlier(records, "a", "reference")).to_measure(list(cells.values())) == [cells["b"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "docker"}, 'engine: "process" then, "docker" now'),
        ({"model": {"sha256": "ee"}}, 'model: sha256: "dd" then, "ee" now'),
        ({"dataset": {"sha256": "ee"}}, 'dataset: sha256: "cc" then, "ee" now'),
        ({"options": {"max_time_s": 5.0, "seed": 42}}, "option max_time_s: 3.0 then, 5.0 now"),
        ({"options": {"max_time_s": 3.0, "seed": 7}}, "option seed: 42 then, 7 now"),
        ({"options": {"max_time_s": 3.0, "seed": 42, "rate": (1, 2)}}, "option rate: null then, [1, 2] now"),
        ({"environment": {**a_run().environment, "cpu": "Other"}}, 'cpu: "Example CPU" then, "Other" now'),
        ({"environment": {**a_run().environment, "kernel": "6.2"}}, 'kernel: "6.1.0" then, "6.2" now'),
        ({"environment": {**a_run().environment, "hypervisor": True}}, "hypervisor: false then, true now"),
        (
            {"environment": {**a_run().environment, "memory_bytes": 7_900_000_000}},
            "memory_bytes: 8000000000 then, 7900000000 now",
        ),
        ({"environment": {**a_run().environment, "memory_bytes": None}}, "memory_bytes: 8000000000 then, null now"),
        ({"environment": {**a_run().environment, "server_cpus": [0, 1]}}, "server_cpus: [0] then, [0, 1] now"),
        (
            {"environment": {**a_run().environment, "sources": {"bench": "ff" * 32, "fixtures": "bb" * 32}}},
            "code: the files in bench/",
        ),
    ],
)
def test_what_was_measured_on_something_else_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    """One line for each thing that differs, and the command that the run was."""
    with pytest.raises(BadInput) as raised:
        Resume(earlier({})).check(a_run(**changes), FREE)
    said = str(raised.value)
    assert words in said
    assert "out/earlier" in said
    assert a_run().command in said
    assert len(differences(a_run(), a_run(**changes), FREE)) == 1


def test_the_same_machine_code_model_and_options_are_resumed() -> None:
    """Also where JSON made lists of tuples, where only what fails a test differs, and where a kernel kept some more memory."""
    environment = {**a_run().environment, "server_cpus": (0,), "memory_bytes": 7_990_000_000}
    now = a_run(options={**a_run().options, "strict": True}, environment=environment)
    Resume(earlier({})).check(now, FREE)


def test_a_run_that_does_not_know_its_code_is_refused() -> None:
    """Runs of before `--resume`."""
    old = a_run(environment={name: value for name, value in a_run().environment.items() if name != "sources"})
    assert len(differences(old, a_run())) == 2


def test_smoke_and_gate_take_nothing_over() -> None:
    """The one measures nothing, the other needs both sides at once."""
    resume = Resume(earlier({}))
    resume.check_kind(smoke=False, gated=False)
    with pytest.raises(BadInput, match="--benchmark-disable"):
        resume.check_kind(smoke=True, gated=False)
    with pytest.raises(BadInput, match="--gate"):
        resume.check_kind(smoke=False, gated=True)


def test_what_is_taken_over_and_what_is_missing_is_said() -> None:
    """Before anything is measured, with the yardsticks, and the backends that are not asked for any more."""
    with servers("a", "b") as systems:
        before, _ = measured(systems, "a")
        resume = Resume(earlier(before, "a", backends={"a": BackendFacts(), "z": BackendFacts()}))
        _, cells, _ = measuring(dict(systems), SINGLE, QUICK, resume=resume)
    taken, missing, again, unselected = resume.told(list(cells.values()))
    assert taken == "resume: 1 cells taken over from out/earlier: a-raw-single"
    assert missing == "resume: 2 cells missing: reference-raw-single, b-raw-single"
    assert again.endswith("a-raw-single")
    assert unselected.endswith("not selected now: z")
    assert Resume().told(list(cells.values())) == []


def test_a_backend_that_is_installed_otherwise_by_now_is_told() -> None:
    """Only where cells of it were taken over, and of what is known both times; what is the same says nothing."""
    with servers("a", "b") as systems:
        before, _ = measured(systems, "a")
    facts = BackendFacts(versions={"numpy": "2.0"}, image="a:1", hashes="checked", size_bytes=1)
    resume = Resume(earlier(before, "a", backends={"a": facts, "b": facts}))
    same = dict.fromkeys("ab", replace(facts, size_bytes=2))
    assert len(resume.warnings((), same)) == 1, "the head alone"
    other = dict.fromkeys("ab", BackendFacts(versions={"numpy": "2.1"}, image_digest="x", image="a:1"))
    _, changed = resume.warnings((), other)
    assert changed.startswith("a: its cells taken over were measured with another installation")
    assert 'versions: {"numpy": "2.0"} then, {"numpy": "2.1"} now' in changed
    assert "image:" not in changed


def test_warnings_of_the_earlier_run_are_told_once() -> None:
    """Through any number of resumptions, and not where they hold for this session as well."""
    resume = Resume(
        earlier({}, warnings=("A virtual machine.", "Busy.", "Of an earlier run: Busy.", "Of an earlier run: Hot."))
    )
    head, *told = resume.warnings(["A virtual machine."], {})
    assert "0 cells were taken over from run earlier" in head
    assert told == ["Of an earlier run: Busy.", "Of an earlier run: Hot.", "A virtual machine."]
    assert Resume().warnings(["A virtual machine."], {}) == ["A virtual machine."]
