"""HTTP/1.1 on the socket: everything that touches Sanic's internals."""
