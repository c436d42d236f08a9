"""A Ray cluster: its nodes, and the objects that run and are called on them; Ray itself stays in a process of its own."""
