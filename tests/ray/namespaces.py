"""Ray nodes in network namespaces of this machine, which reach its head over a link of their own."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.ray.nodes import Nodes, ray_nodes

BRIDGE = "sbray0"
HERE = "10.203.77.1"


def done(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True, slots=True)
class Link:
    """A namespace's `name` and its address; the bridge's end has that name too, and an `h`."""

    name: str
    ip: str

    def cut(self) -> None:
        assert done("ip", "link", "set", f"{self.name}h", "down")


@contextmanager
def links(number: int) -> Iterator[list[Link]]:
    """So many namespaces on a bridge of this machine, a millisecond away where the kernel can."""
    with ExitStack() as stack:
        stack.callback(done, "ip", "link", "del", BRIDGE)
        if not (done("ip", "link", "add", BRIDGE, "type", "bridge") and done("ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE)):
            pytest.skip("this user may not make a bridge")
        done("ip", "link", "set", BRIDGE, "up")
        between = ("FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT")  # which a Docker daemon's rules forbid
        stack.callback(done, "iptables", "-D", *between)
        done("iptables", "-I", *between)
        made = []
        for place in range(1, number + 1):
            name, ip = f"sbray{place}", f"10.203.77.{place + 1}"
            stack.callback(done, "ip", "netns", "del", name)
            if not done("ip", "netns", "add", name):
                pytest.skip("this user may not make a network namespace")
            stack.callback(done, "ip", "link", "del", f"{name}h")
            inside = ("ip", "-n", name)
            assert done("ip", "link", "add", f"{name}h", "type", "veth", "peer", "name", "e0", "netns", name)
            assert done("ip", "link", "set", f"{name}h", "master", BRIDGE, "up")
            assert done(*inside, "addr", "add", f"{ip}/24", "dev", "e0")
            assert done(*inside, "link", "set", "e0", "up")
            assert done(*inside, "link", "set", "lo", "up")
            done("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "e0", "root", "netem", "delay", "1ms")
            made.append(Link(name, ip))
        yield made


@contextmanager
def apart(*cpus: int) -> Iterator[tuple[Nodes, list[Link]]]:
    """A head here, and nodes with so many CPUs each, every one in a namespace."""
    with links(len(cpus)) as made, ray_nodes(HERE) as nodes:
        for link, count in zip(made, cpus, strict=True):
            nodes.join(ip=link.ip, cpus=count, within=("ip", "netns", "exec", link.name))
        yield nodes, made
