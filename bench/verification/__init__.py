"""What is sent, and whether the answer was right."""
