"""What the auth service does without being asked: a module for each loop."""
