"""Start-up: from the order to start a server to its first right answer, then until it is warm, and gone; again and again."""

from bench.contract.system import Backend
from bench.experiments.startup import StartUps
from bench.session.benchmark_bridge import Replay


def test_startup(started_backend: Backend, startup: StartUps, replay: Replay) -> None:
    """Seconds to the first right answer of each fresh start, while the others are up and idle."""
    replay.of(startup.result(started_backend))
