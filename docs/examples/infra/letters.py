"""What the shop writes to its customers."""


def confirmation(email: str) -> str:
    """Return the letter that confirms an order."""
    return f"Dear {email}, your order has arrived."
