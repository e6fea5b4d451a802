"""The disk: all that differs between systems in how files and directories are touched."""
