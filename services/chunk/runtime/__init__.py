"""Threads, memory and work ahead: how the process works. Nothing here knows of chunks."""
