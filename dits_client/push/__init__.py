"""From the folder to the server."""
