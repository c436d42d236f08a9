"""A run on disk: written, read again, held against its schema."""
