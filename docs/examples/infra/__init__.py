"""The shop's own ways to reach the world."""
