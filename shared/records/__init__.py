"""Rows that every service writes in the transaction of its change."""
