"""MEASURE: sends the load, times it, verifies every answer; knows no Docker, no dataset, no file format of a report."""
