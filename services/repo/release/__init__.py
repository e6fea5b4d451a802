"""What no branch or tag reaches any more: found, and released after a time."""
