"""What a failover of the database harms, and for how long: `make failover`."""
