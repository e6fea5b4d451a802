"""Merging on the server: by path, of files that nobody can merge."""
