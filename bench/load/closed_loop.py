"""One slice of a closed loop: the next request leaves after the last answer. The only place where exchanges are timed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from bench.contract import ExchangeError, Transport

Request = TypeVar("Request")


@dataclass(slots=True)
class Slice:
    """What one slice brought: `duration_s` [n] of its timed exchanges, and every answer, the untimed opener's too.

    `answers` holds (payload index, body) in the order received; `reconnects` counts connections reopened outside the clock.
    """

    duration_s: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    reconnects: int = 0
    error: ExchangeError | None = None


def run_slice(
    transport: Transport[Request],
    feed: Iterator[tuple[int, Request]],
    *,
    slice_s: float,
    opener: bool,
    most: int | None = None,
) -> Slice:
    """Exchange for about `slice_s` seconds, at least once, at most `most` times or until `feed` ends.

    An `opener` is one exchange before the first timed one: it warms caches that other slices have cooled. An error ends the
    slice; it is kept in `Slice.error`, and what was timed before it stands. Garbage is collected after the slice, not in it.
    """
    outcome = Slice()
    durations, answers = outcome.duration_s, outcome.answers
    exchange = transport.exchange
    collects = gc.isenabled()
    gc.disable()
    try:
        outcome.reconnects += transport.ensure_connected()
        if opener:
            index, request = next(feed)
            answers.append((index, exchange(request)))
        stop_at = perf_counter() + slice_s
        for index, request in feed:
            if transport.spent:
                outcome.reconnects += transport.ensure_connected()
            start = perf_counter()
            body = exchange(request)
            end = perf_counter()
            durations.append(end - start)
            answers.append((index, body))
            if end >= stop_at or len(durations) == most:
                break
    except ExchangeError as error:
        outcome.error = error
    except StopIteration:
        pass  # a feed that was already empty: nothing to send
    finally:
        if collects:
            gc.enable()
    return outcome
