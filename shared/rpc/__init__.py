"""What surrounds every handler: the request chain, access, pages, the server."""
