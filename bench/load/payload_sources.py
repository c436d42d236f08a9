"""Sources of a lane's payloads: the same ones in turn, or ones that no server has seen before."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from bench.contract.wire import Payload

Prepare = Callable[[Payload], Any]
"""Turns a payload into the request that the lane's transport sends."""


class PayloadSource(Protocol):
    """A source of a lane's payloads; their requests are prepared before the clock starts."""

    @property
    def payloads(self) -> Sequence[Payload]:
        """All payloads so far; an answer refers to its payload by the index here."""
        ...

    def requests(self, expected: int) -> Iterator[tuple[int, Any]]:
        """(payload index, request) for the next slice, in which about `expected` are likely to be sent."""
        ...

    def release(self, index: int) -> None:
        """Note that the request was answered; a source that will not send it again frees it."""
        ...


class CyclingPayloads:
    """The same prepared payloads in turn, wrapping around, from the one at `first` on.

    Goes on in the next slice where the last one ended.
    """

    def __init__(self, payloads: Sequence[Payload], prepare: Prepare, first: int = 0) -> None:
        self.payloads = payloads
        self._requests = [prepare(payload) for payload in payloads]
        self._at = first

    def requests(self, expected: int) -> Iterator[tuple[int, Any]]:  # noqa: ARG002 - see PayloadSource
        """The payloads in turn, without end."""
        while True:
            index = self._at
            self._at = (index + 1) % len(self._requests)
            yield index, self._requests[index]

    def release(self, index: int) -> None:
        """No-op: it will be sent again."""


class FreshPayloads:
    """Payloads that were never sent before: no cache of any size can hold their answers."""

    def __init__(self, grow: Callable[[], Payload], prepare: Prepare) -> None:
        self.payloads: list[Payload] = []
        self._requests: dict[int, Any] = {}
        self._grow = grow
        self._prepare = prepare

    def requests(self, expected: int) -> Iterator[tuple[int, Any]]:
        """Exactly `expected` new requests, built now, before the slice."""
        first = len(self.payloads)
        for index in range(first, first + expected):
            self.payloads.append(self._grow())
            self._requests[index] = self._prepare(self.payloads[index])
        return iter([(index, self._requests[index]) for index in range(first, first + expected)])

    def release(self, index: int) -> None:
        """Forget its request: it is never sent again."""
        self._requests.pop(index, None)
