"""Transports: one kept connection to one endpoint; only `exchange` runs inside the clock."""

DEADLINE_S = 10.0
"""For one whole exchange, and for connecting: a frozen server may not hold up the others for long."""
