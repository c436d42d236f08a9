"""The section on replicas: how far throughput grows with the instances of a server, and what each of them adds."""

from reports.sections.load.growth import Growth
from reports.tables.sweeps import REPLICAS

GROWTH = Growth(
    REPLICAS,
    title="Scaling with replicas",
    note=(
        "Each server was started in so many instances, each as it is on one CPU of its own, and the clients' connections were "
        "spread evenly over them, with no proxy in between. All starts took turns, with more clients than they can serve at "
        "once. What each replica is worth: throughput over replicas, as a share of the same with the fewest; 1 is a server "
        "whose second instance answers as much as its first, as thin lines in the picture. null, the ceiling, is one in every "
        "column: above 70 % of it the one client is what was measured."
    ),
    shared=(
        "With {titles} the client had a CPU that one of them has, so these cells say that answers are right, and little of "
        "what replicas add: give servers CPUs of their own with --server-cpus, and the client another one with --client-cpu."
    ),
)
section, answers = GROWTH.section, GROWTH.answers
