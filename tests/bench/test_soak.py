"""The soak: a lap measures all cells, then everybody is looked at; what grew or went wrong fails it."""

from dataclasses import replace
from itertools import count

import pytest

from bench.contract.cells import Cell
from bench.contract.errors import BadInput
from bench.contract.rows import SoakRow
from bench.contract.scenarios import SINGLE
from bench.contract.system import SystemUnderTest
from bench.load.scheduler import Settings
from bench.machine.idle_cpu import IdleWatch
from bench.session.load_options import soak_seconds
from bench.soak import SUITE, Soak
from tests.bench.scripted import (
    Handler,
    ScriptedFleet,
    little_factory,
    plan_of,
    right,
    scripted,
)

QUICK = Settings(max_time_s=0.02, slice_s=0.005, min_rounds=2)


def a_lap(handler: Handler) -> tuple[Soak, list[list[SoakRow]]]:
    """One lap over one server, and what was kept."""
    kept: list[list[SoakRow]] = []
    with scripted("one", handler) as system:
        systems: dict[str, SystemUnderTest] = {"one": system}
        cell = Cell(system.backend, system.backend.endpoints[0], SINGLE)
        plan = plan_of([cell], QUICK, lambda *_: None)
        soak = Soak(plan, ScriptedFleet(systems, {}), little_factory(), IdleWatch(print))
        soak.run(1e-9, lambda rows: kept.append(list(rows)))
    return soak, kept


def test_a_lap_measures_and_looks_at_everybody() -> None:
    """The suite with all that belongs to the run, and each server; rows are handed on after the lap."""
    soak, kept = a_lap(right)
    assert kept == [soak.rows]
    suite, server = soak.rows
    assert (suite.holder, suite.belongings, server.holder, server.belongings) == (SUITE, 1, "one", None)
    assert suite.exchanges == server.exchanges > 0
    assert suite.memory_bytes is not None
    assert suite.memory_bytes > 2**20
    assert list(soak.last.records) == ["one-raw-single"]
    assert soak.problems() == []


def test_a_wrong_answer_is_a_problem_of_its_lap() -> None:
    """By cell and verdict, once; the server's row says it too."""
    calls = count()
    soak, _ = a_lap(lambda images: right(images if next(calls) < 3 else images + 1))  # ready, then wrong
    (problem,) = soak.problems()
    assert problem.startswith("lap 1: one-raw-single: WRONG_ANSWERS: ")
    assert soak.rows[1].problem.startswith("one-raw-single: WRONG_ANSWERS: ")


def test_what_grew_is_named_with_its_figures() -> None:
    """Of the suite as of a server; what stayed is not."""
    soak, _ = a_lap(right)
    one = soak.rows[1]
    soak.rows = [replace(one, lap=lap, at_s=60.0 * lap, files=10 + 2 * lap, memory_bytes=2**27) for lap in range(16)]
    assert soak.problems() == ["one: files grew from 21 to 37 within 480 s; expected at most 4 more"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "an hour", "9" * 400, "604801", "٣", None])
def test_a_length_that_is_none_is_refused(text: str | None) -> None:
    """By the option's name, with what is expected."""
    with pytest.raises(BadInput, match=r"--soak .*: expected whole seconds, from 1 to 604,800"):
        soak_seconds(text)
    assert soak_seconds("3600") == 3600.0
