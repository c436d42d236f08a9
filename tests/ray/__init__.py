"""Tests with a real Ray of this machine; skipped where it is not installed (`tox -e test-ray`)."""
