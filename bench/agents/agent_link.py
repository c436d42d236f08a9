"""The driver's end of one agent's control connection: messages both ways, its clock, and when it is given up."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from typing import Any

from bench.agents.clocks import ClockFit, Offset, measure_offset
from bench.agents.messages import MOST_BYTES, Message
from bench.agents.places import Started
from bench.contract.errors import AgentFailed
from bench.contract.processes.lifeline import connect


@dataclass(slots=True, eq=False)
class AgentLink:
    """The link to agent `number`, counted from 1; `lost` is why the agent was given up, empty while it is in use.

    It may be silent for `patience_s` seconds beyond what its order takes. It took part in `windows` windows; `fit` is its clock
    in the last one, `error_s` the largest clock uncertainty in any. Only `to` raises: with a lost agent, methods do nothing.
    """

    number: int
    started: Started
    connection: Connection
    patience_s: float
    lost: str = ""
    fit: ClockFit | None = None
    error_s: float = 0.0
    windows: int = 0
    has: set[int] = field(default_factory=set)  # the keys of the work that it was given

    @classmethod
    def to(cls, number: int, started: Started, patience_s: float) -> "AgentLink":
        """Connect to an agent that was just started; raises AgentFailed."""
        try:
            connection = connect(started.address, started.key, patience_s)
        except (OSError, EOFError, AuthenticationError) as error:
            words = started.last_words()
            started.end()
            raise AgentFailed(f"load agent {number} cannot be reached: {error!r}; {words}") from error
        return cls(number, started, connection, patience_s)

    @property
    def name(self) -> str:
        """Its name in messages: number, pid, host, cluster node and CPU."""
        started = self.started
        node = f", node {started.node}" if started.node else ""
        return f"agent {self.number} (pid {started.pid} on {started.host}{node}, CPU {started.cpu})"

    @property
    def seat(self) -> tuple[str, int]:
        """Its host and the CPU that it sends from."""
        return self.started.host, self.started.cpu

    @property
    def facts(self) -> dict[str, Any]:
        """What the results record about it, JSON-able."""
        started, fit = self.started, self.fit
        return {
            "host": started.host,
            "node": started.node or None,
            "pid": started.pid,
            "cpu": started.cpu,
            "niceness": started.niceness,
            "windows": self.windows,
            "clock_offset_s": None if fit is None else fit.after.offset_s,
            "clock_drift": None if fit is None else fit.drift,
            "clock_uncertainty_s": self.error_s if self.windows else None,
            "lost": self.lost or None,
        }

    def tell(self, message: Message) -> None:
        """Send it a message; no-op if it is lost."""
        if self.lost:
            return
        try:
            self.connection.send_bytes(message.packed())
        except BlockingIOError:
            self._lose(f"froze: it took no word for {self.patience_s:g} s")
        except OSError:
            self._lose("died")

    def hear(self, after_s: float = 0.0) -> Message | None:
        """Its next message, due within `after_s` plus `patience_s` seconds; None if it is lost, now or before."""
        if self.lost:
            return None
        within_s = after_s + self.patience_s
        try:
            if not self.connection.poll(within_s):
                self._lose(f"froze: it said nothing for {within_s:.3g} s")
                return None
            return Message.unpacked(self.connection.recv_bytes(MOST_BYTES))
        except BlockingIOError:
            self._lose("froze in the middle of a word")
        except (EOFError, OSError):
            self._lose("died")
        except ValueError as error:
            self._lose(f"said what nobody can read: {error}")
        return None

    def offset(self, clock: Callable[[], float]) -> Offset | None:
        """The current offset of its clock, which is its clock less `clock`; None if it is lost."""

        def ask() -> float:
            self.tell(Message("ping"))
            pong = self.hear()
            if pong is None:
                raise AgentFailed(self.lost)
            return float(pong.fields["at_s"])

        try:
            return measure_offset(ask, clock)
        except AgentFailed:
            return None

    def note_window(self, fit: ClockFit) -> None:
        """Record that it took part in a window, with its clock in that window."""
        self.fit, self.windows, self.error_s = fit, self.windows + 1, max(self.error_s, fit.error_s)

    def end(self) -> None:
        """End the agent; no-op if it has ended."""
        with suppress(OSError):
            self.connection.close()
        self.started.end()

    def _lose(self, why: str) -> None:
        words = self.started.last_words()
        self.lost = f"{self.name} {why}{f' ({words})' if words else ''}"
        self.end()
