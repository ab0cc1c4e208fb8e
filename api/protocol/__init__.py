"""HTTP/1.1 on the socket: all code that uses Sanic's internals."""
