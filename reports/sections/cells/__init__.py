"""The sections on the cells that were measured with one client."""
