"""`enroll`, the command line: one module a noun."""
