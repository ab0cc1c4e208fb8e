"""All of the service in containers: `make docker-up` prepares and starts `deploy/compose.yaml`."""
