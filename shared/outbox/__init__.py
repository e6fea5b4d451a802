"""The reading side of the outbox: streams of events, their cursors, and who is woken when."""
