"""Building blocks for asyncio."""
