"""What the repo service does without being asked."""
