"""Hands jobs to the worker, which has everything imported and forks for each; what each one ended with and said."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
LEFT_OUT = ("EMNIST_ARCHIVE", "PYTEST_ADDOPTS", "COLUMNS", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
TIMEOUT_S = 900
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Root may read and write everything: without these two, what is shut is shut to root as well."""

Outcomes = Mapping[str, tuple[int, str]]
"""By name, exit code and output; who died or hung is missing."""


@dataclass(frozen=True, slots=True)
class Job:
    """`program` with these arguments, started in `folder`; see worker.py for its programs."""

    name: str
    program: str
    folder: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def outcomes_of(jobs: Sequence[Job], place: Path) -> Outcomes:
    """All of them, one after the other; their cache and the worker's log are in `place`."""
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    with (place / "log").open("w") as log:
        done = subprocess.run(
            [*WITHOUT_PRIVILEGE, sys.executable, str(WORKER)],
            input=json.dumps([asdict(job) for job in jobs]),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**environment, "COLUMNS": "200", "XDG_CACHE_HOME": str(place / "cache")},
            timeout=TIMEOUT_S,
            check=False,
        )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {name: (code, output) for name, code, output in said}


def assert_refused(outcomes: Outcomes, name: str, code: int, words: Sequence[str]) -> None:
    """The exit code that is documented, the words that help, no traceback."""
    assert name in outcomes, "the worker died or hung before it, or with it"
    seen, said = outcomes[name]
    assert "Traceback" not in said, said
    assert "INTERNALERROR" not in said, said
    assert seen == code, said[-3000:]
    for word in words:
        assert word in said, (word, said[-3000:])
