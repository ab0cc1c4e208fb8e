"""The time of refused logins, and reads during a storm of logins."""
