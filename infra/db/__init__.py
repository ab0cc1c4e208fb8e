"""PostgreSQL: connections, pool, transactions, SQL."""
