"""Webhooks: their records, what is sent to whom, and the connections that are allowed."""
