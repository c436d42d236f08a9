"""Everything that a person, a file or the environment can give wrongly, as a table, and what is said of it."""
