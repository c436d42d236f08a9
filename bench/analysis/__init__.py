"""From the lanes of a campaign to records: figures, comparisons, verdicts. Nothing is timed here."""
