"""The folder: what is in it, what it followed last, its index."""
