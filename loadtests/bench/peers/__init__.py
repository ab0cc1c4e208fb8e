"""The peers, each in its own idiom."""
