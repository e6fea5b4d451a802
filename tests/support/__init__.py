"""What tests share: a running suite, people, chunks, histories, and eyes on processes."""
