"""Programs for who works on this project; imported by nobody, and in no run's code digest."""
