"""The database: the pool, and named queries."""
