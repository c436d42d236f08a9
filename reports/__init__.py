"""EXPLAIN: records in, text and pictures out; measures nothing."""
