"""The stored formats and conventions that clients share with the server; clients import nothing else."""
