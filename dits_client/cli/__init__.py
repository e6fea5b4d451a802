"""The `dits` command."""
