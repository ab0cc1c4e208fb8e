"""The endpoints, one module a noun; each endpoint parses, calls one service and responds."""
