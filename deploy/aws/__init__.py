"""Releases on AWS: the command that CI sends, and what the operations host does on it."""
