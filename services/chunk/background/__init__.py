"""What the chunk service does without being asked: a module for each loop and each kind of job."""
