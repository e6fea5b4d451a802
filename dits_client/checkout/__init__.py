"""Clone and pull: from the server to the folder."""
