"""The course catalogue: reads, rendering and writes."""
