"""Background work as rows of the table jobs: queued by a transaction, done by workers, at least once."""
