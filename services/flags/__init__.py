"""Feature flags: declared in code, defined in the database, evaluated in each process."""
