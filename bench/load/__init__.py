"""The only timed code: slices, and the campaign that decides whose turn it is."""
