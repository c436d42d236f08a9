"""Fuzzing, by `tox -e fuzz`: what reads bytes that others send.

pytest does not collect it: tests/test_fuzz_targets.py is the short form.
"""
