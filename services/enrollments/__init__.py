"""Students enrolling in courses."""
