"""A checker of linearizability, the model of locks, and the histories that it checks."""
