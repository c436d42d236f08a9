"""A Ray cluster: its nodes, and what is started on them and asked there; Ray itself stays in a process of its own."""
