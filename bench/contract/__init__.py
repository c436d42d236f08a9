"""What the three packages may know of each other; fixtures and reports import this and `bench.statistics` alone."""
