"""`make security`: scans code and dependencies; a check that could not run has not passed."""
