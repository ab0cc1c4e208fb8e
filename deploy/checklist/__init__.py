"""The release checklist: each line is verified by running something."""
