"""What two or more dits services need: settings, database, request chain, errors, formats."""
