"""Options in, cells out, and the bridge to pytest-benchmark."""
