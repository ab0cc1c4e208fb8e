"""What a login gives away by its time, and what a storm of them does to other requests."""
