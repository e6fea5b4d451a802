"""Transfer of chunks to and from the server."""
