"""Ours beside peers that do the same work, in one run; `make bench`."""
