"""The RPCs of the auth service."""
