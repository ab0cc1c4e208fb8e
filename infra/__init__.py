"""How the service reaches the world: settings, database, cache, storage, logs, metrics."""
