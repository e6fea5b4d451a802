"""What the chunk service does without being asked."""
