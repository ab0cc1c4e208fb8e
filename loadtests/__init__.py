"""Load, benchmarks and drills, and what they share."""
