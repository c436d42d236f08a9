"""The machine that measures: CPUs, energy, software, who uses it meanwhile."""
