"""Who a credential belongs to, and what it may do."""
