"""The sections on what was measured under load, question by question."""
