"""The HTTP API; HTTP terms stay in this package."""
