"""A session's helper processes: how their end is noticed and reported."""
