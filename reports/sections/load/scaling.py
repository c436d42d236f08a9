"""The section on scaling: how far each server's throughput grows with its CPUs, and what each of them adds."""

from reports.sections.load.growth import Growth
from reports.tables.sweeps import CPUS

GROWTH = Growth(
    CPUS,
    title="Scaling with CPUs",
    note=(
        "Each server was started once for each number of CPUs, told to use them as its own documentation advises "
        "(docs/backends.md), and all starts took turns, with more clients than a server can serve at once. What each CPU is "
        "worth: throughput over CPUs, as a share of the same on the fewest; 1 is a server that wastes none, as thin lines in "
        "the picture. null, the ceiling, has the CPUs of the run in every column: above 70 % of it the one client is what was "
        "measured."
    ),
    shared=(
        "On {titles} the client had one of the server's CPUs, so these cells say that answers are right, and little of how "
        "servers scale: give servers CPUs of their own with --server-cpus, and the client another one with --client-cpu."
    ),
)
section, answers = GROWTH.section, GROWTH.answers
