"""Trees of commits: paths in them, and what differs between two."""
