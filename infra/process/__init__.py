"""Processes: forking, signals, what they ask of the operating system."""
