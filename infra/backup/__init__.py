"""Backups of the database: base backups and WAL in an archive, and restores to a time."""
