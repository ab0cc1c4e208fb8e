"""The shop's own tables; nothing of the queue's wheel has this package's name."""

ORDERS = """
    CREATE TABLE IF NOT EXISTS orders (
        id uuid PRIMARY KEY,
        email text NOT NULL,
        letter text
    )
"""
