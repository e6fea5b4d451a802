"""Which chunks there are, and where."""
