"""Programs for developers of this project; imported by no other package, and not in a run's code digest."""
