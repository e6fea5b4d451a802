"""Usage: whose figures a caller may see, the figures, and what is measured every night."""
