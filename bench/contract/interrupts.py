"""Ctrl-C and SIGTERM: both end a session in the same way, and neither in the middle of what keeps its results."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn


@dataclass(slots=True)
class Held:
    """The signal that was held back, if one came."""

    number: int | None = None

    def release(self) -> None:
        """Raise KeyboardInterrupt if one came."""
        if self.number is not None:
            _interrupt(self.number, None)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise what Ctrl-C raises, so that it ends a session as that does; only the main thread may ask."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held_back() -> Iterator[Held]:
    """Note the first Ctrl-C or SIGTERM instead of being ended by it; a second one does what it would have done without.

    A signal that is ignored (the shell starts a script's background jobs so, for Ctrl-C) stays ignored.
    """
    held = Held()
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        held.number = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield held
    finally:
        restore()


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(f"signal {number}")
