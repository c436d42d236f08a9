"""Transports: one kept connection to one endpoint; only `exchange` runs inside the clock."""
