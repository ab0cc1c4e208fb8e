"""Enrolments of students in courses."""
