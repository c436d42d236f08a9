"""Composition root: the three plugins, and nothing else."""

pytest_plugins = ["bench.plugin", "fixtures.plugin", "reports.plugin"]
