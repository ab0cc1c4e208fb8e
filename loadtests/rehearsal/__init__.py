"""The life of an installation on one machine, and what it harms: `make rehearsal`."""
