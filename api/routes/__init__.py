"""The endpoints, one module a noun: each parses, calls one service, responds."""
