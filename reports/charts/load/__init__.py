"""The charts of what was measured under load."""
