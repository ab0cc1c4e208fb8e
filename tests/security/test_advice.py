"""Production logs advice about allowed but unsafe settings."""

import json


def advised(output, event):
    lines = [line for line in output.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == event]


async def test_production_advises_against_a_token_lifetime_of_a_day(production):
    [advice] = advised(production.output, "tokens_live_long")
    assert (advice["level"], advice["setting"]) == ("warning", "TOKEN_LIFETIME_SECONDS")
    assert (advice["seconds"], advice["advised"]) == (86_400, 3_600)


async def test_production_advises_about_a_bucket_without_nosniff(production):
    [advice] = advised(production.output, "images_without_nosniff")
    assert (advice["level"], advice["setting"]) == ("warning", "STORAGE_PUBLIC_URL")
    assert "/media" in advice["advised"]
