"""PostgreSQL: the pool, transactions, migrations."""
