"""Service level objectives as code: deploy/slo.yaml, its rules, and the gate of a release."""
