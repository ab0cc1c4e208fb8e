"""What warming gains: hit ratio and latency right after a restart."""
