"""Repositories themselves: creating them, and their owners."""
