"""Push: from the folder to the server."""
