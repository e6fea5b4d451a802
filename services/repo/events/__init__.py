"""Which events a caller may watch."""
