"""Releases a revision beside the running one, and takes it back by itself if it is worse.

`machine` decides and does no I/O. `ports` names what it needs of the world: a router and metrics.
"""
