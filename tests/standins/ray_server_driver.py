"""`ray_server_driver.py ADDRESS FOLDER`: starts the tiny server on the other node, tells its pid, waits to be killed."""

import sys
import time
from pathlib import Path

from bench.contract.cluster.connection import Cluster
from fixtures.engines.ray.ray_engine import RayEngine
from tests.fixtures.tiny import ask, make_model, make_settings, make_tiny, ready


def main(address: str, folder: Path) -> None:
    """See the module."""
    with Cluster(address) as cluster:
        engine = RayEngine(make_settings(folder / "cache", lambda line: None), cluster)
        spec = make_tiny(folder)
        engine.prepare(spec)
        print(ask(ready(engine.start(spec, make_model(folder))))["pid"], flush=True)
        time.sleep(600)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(sys.argv[1], Path(sys.argv[2]))
