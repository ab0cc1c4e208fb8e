"""Authentication, authorization, rate limits and CORS."""
