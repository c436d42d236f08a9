"""Where a session's time goes."""

import itertools

import pytest

from bench.contract import console
from bench.contract.console import MEASURING, SERVERS, Stopwatch


def test_each_second_counts_for_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are started in the middle of measuring are no measuring; what is left is the rest."""
    monkeypatch.setattr(console, "perf_counter", itertools.count().__next__)
    watch = Stopwatch()  # at 0
    assert watch.told() == ""
    with watch.phase(MEASURING), watch.phase(SERVERS):  # 1 to 4, and within that 2 to 3
        pass
    with watch.phase(SERVERS):  # 5 to 6
        pass
    assert watch.told() == "servers 2 s, measuring 2 s, the rest 3 s"  # at 7
