"""Ways from rows to JSON bytes, side by side."""
