"""Measures backups and restores."""
