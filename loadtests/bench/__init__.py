"""A folder a benchmark, and what they share: servers, load, results."""
