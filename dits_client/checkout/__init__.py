"""From the server to the folder."""
