"""The domain of the lock service: how locks are acquired, renewed, transferred and ended."""
