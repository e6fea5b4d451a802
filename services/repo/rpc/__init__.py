"""The RPCs of the repo service."""
