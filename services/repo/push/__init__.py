"""The transaction of a push."""
