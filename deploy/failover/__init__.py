"""A primary and its standby on this machine: promotion under load, and what it harms."""
