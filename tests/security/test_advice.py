"""What production may do and is told that it better did not."""

import json


def advised(output, event):
    lines = [line for line in output.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == event]


async def test_production_is_told_that_a_day_is_long_for_a_token(production):
    [advice] = advised(production.output, "tokens_live_long")
    assert (advice["level"], advice["setting"]) == ("warning", "TOKEN_LIFETIME_SECONDS")
    assert (advice["seconds"], advice["advised"]) == (86_400, 3_600)


async def test_production_is_told_that_its_bucket_says_no_nosniff(production):
    [advice] = advised(production.output, "images_without_nosniff")
    assert (advice["level"], advice["setting"]) == ("warning", "STORAGE_PUBLIC_URL")
    assert "/media" in advice["advised"]
