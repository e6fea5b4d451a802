"""Accounts: how they begin, change and end."""
