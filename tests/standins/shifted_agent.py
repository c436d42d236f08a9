"""A load agent whose clock shows other times and runs at another speed: `shifted_agent.py OFFSET_S DRIFT`, in this checkout."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.agents.process import main

OFFSET_S, DRIFT = float(sys.argv[1]), float(sys.argv[2])

main(lambda: time.perf_counter() * (1 + DRIFT) + OFFSET_S)
