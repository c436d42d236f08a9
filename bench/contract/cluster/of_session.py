"""The one Ray cluster of a pytest session: connected to when it is first asked for, left at its end."""

import pytest

from bench.contract.cluster.connection import Cluster
from bench.contract.errors import BadInput
from bench.contract.options import value_of

_CLUSTER = pytest.StashKey[Cluster]()


def cluster_of(config: pytest.Config) -> Cluster | None:
    """That of --ray, None without; ends the session in one line where there is no such cluster."""
    address = value_of(config, "ray")
    if not address:
        return None
    if _CLUSTER not in config.stash:
        try:
            cluster = Cluster(address)
        except BadInput as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
        config.stash[_CLUSTER] = cluster
        config.add_cleanup(cluster.end)
    return config.stash[_CLUSTER]
