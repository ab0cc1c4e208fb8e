"""Us beside bare Sanic, FastAPI and Go; as the data grow; and a hot course; `make bench`."""
