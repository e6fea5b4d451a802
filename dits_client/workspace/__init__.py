"""The folder on the user's disk: its content, its index, and the commit that it follows."""
