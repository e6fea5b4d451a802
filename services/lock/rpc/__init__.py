"""The RPCs of the lock service."""
