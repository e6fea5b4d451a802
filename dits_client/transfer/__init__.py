"""Chunks on their way to and from the server."""
