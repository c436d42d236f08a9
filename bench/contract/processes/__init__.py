"""Processes that a session has beside itself: how their end is noticed and told."""
