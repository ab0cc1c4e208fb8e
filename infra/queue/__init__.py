"""The durable queue: every statement on the table `tasks` (docs/tasks.md)."""
