"""The console: pages on which an admin watches and operates the queue in a browser."""
