"""The one Ray cluster of a pytest session: connected to when first needed, left at the session's end."""

import pytest

from bench.contract.cluster.address import LOCAL, checked_address
from bench.contract.cluster.connection import Cluster
from bench.contract.errors import BadInput
from bench.contract.options import given_text

_CLUSTER = pytest.StashKey[Cluster]()


def cluster_of(config: pytest.Config) -> Cluster | None:
    """The cluster of --ray, None without that option; ends the session with one line if there is no such cluster."""
    try:
        return _connected(config, checked_address(given_text(config, "--ray")))
    except BadInput as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def servers_cluster(config: pytest.Config) -> Cluster:
    """The same for --engine ray, which needs one; may be called before options are parsed. Raises BadInput."""
    cluster = _connected(config, checked_address(given_text(config, "--ray")))
    if cluster is None:
        raise BadInput(f"--engine ray: expected --ray HOST:PORT of the cluster beside it, or --ray={LOCAL}")
    return cluster


def _connected(config: pytest.Config, address: str) -> Cluster | None:
    if address and _CLUSTER not in config.stash:
        config.stash[_CLUSTER] = cluster = Cluster(address)
        config.add_cleanup(cluster.end)
    return config.stash.get(_CLUSTER, None)
