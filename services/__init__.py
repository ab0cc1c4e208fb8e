"""What the business does: plain functions, the one code that the API and the tasks share."""
