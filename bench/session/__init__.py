"""The pytest session: its options, the cells they select, the fixtures that measure, the bridge to pytest-benchmark."""
