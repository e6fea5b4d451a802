"""How the process works: threads, memory, work ahead. Nothing here knows of chunks."""
