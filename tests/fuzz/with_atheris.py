"""One target under atheris: in a process of its own, for atheris never returns.

`python -m tests.fuzz.with_atheris TARGET SEEDS [libFuzzer's options and folders]` is that process.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ATTEMPT_S = 10
MEMORY_MB = 2048
INSTRUMENTED = (
    *("bench.protocols", "bench.transports", "fixtures.serving", "serving", "http1", "http2", "canned"),
    *("graphpipe_wire", "graphpipe", "flatbuffers"),
)
_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)|^#(\d+)\t", re.MULTILINE)


def fuzz(name: str, seconds: float, seed: int) -> tuple[int, list[str]]:
    """How many inputs it tried, and what broke: an exception, an input that takes ATTEMPT_S or one that takes MEMORY_MB."""
    with tempfile.TemporaryDirectory(prefix="servebench-fuzz-") as folder:
        seeds, corpus = Path(folder) / "seeds", Path(folder) / "corpus"
        seeds.mkdir()
        corpus.mkdir()
        options = {
            "max_total_time": int(seconds),
            "timeout": ATTEMPT_S,
            "rss_limit_mb": MEMORY_MB,
            "max_len": 4096,
            "seed": seed,
            "print_final_stats": 1,
            "artifact_prefix": f"{folder}/",
        }
        command = [sys.executable, "-m", __name__, name, str(seeds), *(f"-{key}={value}" for key, value in options.items())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [*command, str(corpus), str(seeds)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds * 2 + 300,
        )
    counts = [int(total or at) for total, at in _RUNS.findall(done.stderr)]
    return max(counts, default=0), [] if done.returncode == 0 else [f"exit code {done.returncode}:\n{done.stderr[-6000:]}"]


def main() -> None:
    """Coverage leads; the seeds are where it starts."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)), contextlib.ExitStack() as stack:
        from tests.fuzz.targets import targets  # with all that it imports, also later

        name, seeds = sys.argv.pop(1), Path(sys.argv.pop(1))
        target = stack.enter_context(targets())[name]
        for number, seed in enumerate(target.seeds):
            target.attempt(seed)
            (seeds / str(number)).write_bytes(seed)
        atheris.Setup(sys.argv, target.attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
