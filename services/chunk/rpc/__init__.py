"""The RPCs of the chunk service."""
