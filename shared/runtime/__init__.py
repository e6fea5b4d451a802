"""The process: settings, logs, the server's key, its life."""
