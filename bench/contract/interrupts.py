"""Ctrl-C and SIGTERM: both end a session in the same way, and neither while its results are being written."""

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
    """Let SIGTERM raise KeyboardInterrupt, so that it ends a session like Ctrl-C; does nothing outside the main thread."""
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
    """Note the first Ctrl-C or SIGTERM instead of handling it; a second one has its usual effect.

    A signal that is ignored stays ignored (a shell starts a script's background jobs with Ctrl-C ignored).
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
