"""Load agents."""
