"""The migrations, and aerich's view of the database for `aerich migrate`."""
