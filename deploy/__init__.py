"""Everything that runs the service: on one machine, in containers, in the cloud."""
