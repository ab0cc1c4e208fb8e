"""What asyncio lacks: one of each."""
