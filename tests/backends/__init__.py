"""Contract tests of the servers in fixtures/backends, started as plain local processes."""
