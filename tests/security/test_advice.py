"""What production may do and is told that it better did not."""

import json


async def test_production_is_told_that_a_day_is_long_for_a_token(production):
    lines = [line for line in production.output.read_text().splitlines() if line.startswith("{")]
    [advice] = [line for line in map(json.loads, lines) if line["event"] == "tokens_live_long"]
    assert (advice["level"], advice["setting"]) == ("warning", "TOKEN_LIFETIME_SECONDS")
    assert (advice["seconds"], advice["advised"]) == (86_400, 3_600)
