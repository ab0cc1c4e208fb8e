"""Processes: forking, signals, priorities, file permissions."""
