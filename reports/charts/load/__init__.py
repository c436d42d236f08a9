"""The pictures of what was measured under load."""
