"""Locks: rules, changes, questions."""
