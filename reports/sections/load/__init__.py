"""The section of what was measured under load, question by question."""
