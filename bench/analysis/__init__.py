"""Turns the lanes of a campaign into records: figures, comparisons, verdicts. Nothing is timed here."""
