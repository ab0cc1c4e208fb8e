"""The HTTP API: words of HTTP stay here."""
