"""What the lock service does without being asked."""
