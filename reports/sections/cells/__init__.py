"""The sections of the cells that one client measured."""
