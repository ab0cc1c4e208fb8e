"""The servers and the service on one machine: what `make run` starts."""
