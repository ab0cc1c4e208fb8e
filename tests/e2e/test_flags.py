"""Feature flags through real processes: admins' calls, kill switches, and outages."""

import asyncio
import json
import time

import httpx
import pytest
from uuid_utils.compat import uuid7

from services.errors import SwitchedOff
from tests.browser import chromium
from tests.factories import Api, eventually, refused, refused_for
from tests.instances import instance
from tests.photos import jpeg
from tests.security.servers import own_api
from tests.servers import own_postgres

FLAGS = "/admin/flags"
AVIF, SEARCHES = f"{FLAGS}/avif-variants", f"{FLAGS}/searches"
OFF = "Searches are switched off for now; lists and courses are shown"
ROLLOUT = {"name": "flexibleRollout", "parameters": {"rollout": "25"}}
CONNECTIONS = 12
PICTURE = """async (sources) => {
    const picture = document.createElement("picture")
    for (const {type, srcset} of sources) {
        picture.append(Object.assign(document.createElement("source"), {type, srcset}))
    }
    const image = document.createElement("img")
    picture.append(image)
    document.body.append(picture)
    await image.decode()
    return [image.currentSrc, image.naturalWidth > 0]
}"""


@pytest.fixture(autouse=True)
async def _defaults(api):
    """The flags have their defaults before and after each test."""

    async def reset():
        for path in (AVIF, SEARCHES):
            assert (await api.call("DELETE", path)).status_code in {204, 404}

    await reset()
    yield
    await reset()


async def search(base_url: str) -> set[tuple[int, str | None]]:
    """Search over many new connections, to reach all processes; return statuses and codes."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=30, limits=limits) as client:
        # No search is cached.
        asked = [client.get(f"/api/v1/courses?search={uuid7().hex}") for _ in range(CONNECTIONS)]
        answers = await asyncio.gather(*asked)
    return {(each.status_code, each.json().get("details", {}).get("code")) for each in answers}


async def searches_end_within(seconds: float, *base_urls: str) -> None:
    """Assert that all processes refuse the searches of so many seconds from now, and later."""
    deadline = time.monotonic() + seconds
    while True:
        asked_at = time.monotonic()
        found = set().union(*await asyncio.gather(*map(search, base_urls)))
        if found == {(503, "SWITCHED_OFF")}:
            return
        assert asked_at < deadline, f"after {seconds} s: {found}"


async def searches_are_answered(*base_urls: str) -> None:
    async def probe():
        found = set().union(*await asyncio.gather(*map(search, base_urls)))
        return found == {(200, None)}

    await eventually(probe)


async def test_flags_are_listed_with_what_is_declared(api):
    response = await api.call("GET", FLAGS)
    assert response.status_code == 200
    avif, searches = response.json()["flags"]
    assert (avif["name"], avif["default"], avif["state"]) == ("avif-variants", False, "default")
    assert (searches["name"], searches["default"]) == ("searches", True)
    assert (avif["owner"], avif["subject"], searches["subject"]) == ("images", "the course", None)
    assert (avif["definition"], avif["version"]) == (None, 0)


async def test_a_flag_is_defined_shown_and_deleted_with_its_history(api):
    response = await api.call("PUT", AVIF, json={"enabled": True, "strategies": [ROLLOUT]})
    assert response.status_code == 200, response.text
    shown, tag = response.json(), response.headers["etag"]
    assert (shown["state"], shown["definition"]["enabled"]) == ("on for 25 %", True)
    assert shown["definition"]["strategies"][0]["parameters"]["groupId"] == "avif-variants"
    again = await api.call("GET", AVIF)
    assert (again.json(), again.headers["etag"]) == (shown, tag)
    killed = await api.call("POST", f"{AVIF}/kill")
    assert (killed.json()["state"], killed.headers["etag"] != tag) == ("off", True)
    assert (await api.call("DELETE", AVIF)).status_code == 204
    history = await api.call("GET", f"{AVIF}/history?limit=3")
    changes = history.json()["changes"]
    assert [change["action"] for change in changes] == ["flags.delete", "flags.kill", "flags.set"]
    assert {change["actor"] for change in changes} == {"admin"}
    assert changes[1]["before"] == changes[2]["after"] == shown["definition"]
    assert changes[0]["after"] is None
    assert int(history.headers["x-total-count"]) == history.json()["total"] >= 3


async def test_a_change_can_be_conditional(api):
    first = await api.call("GET", AVIF)
    body, tag = {"enabled": True}, {"If-Match": first.headers["etag"]}

    async def call(method, **request):
        headers = api.headers | tag
        return await api.client.request(method, f"/api/v1{AVIF}", headers=headers, **request)

    assert (await call("PUT", json=body)).status_code == 200
    message = "The flag is not the version that If-Match names; read it again"
    refused(await call("PUT", json=body), 412, "PRECONDITION_FAILED", message)
    refused(await call("DELETE"), 412, "PRECONDITION_FAILED", message)
    assert (await api.call("DELETE", AVIF)).status_code == 204


async def test_bad_definitions_are_refused_by_name(api):
    bad = ROLLOUT | {"parameters": {"rollout": 101, "stickiness": "random"}}
    response = await api.call(
        "PUT", AVIF, json={"enabled": "yes", "strategies": [bad, {"name": "nobody"}], "x": 1}
    )
    refused_for(
        response,
        ("enabled", "INVALID_TYPE", "Enabled must be true or false"),
        (
            "strategies.0.parameters.rollout",
            "OUT_OF_RANGE",
            "Strategies.0.parameters.rollout must be at most 100",
        ),
        (
            "strategies.0.parameters.stickiness",
            "NOT_ALLOWED",
            "Strategies.0.parameters.stickiness must be one of: default, userId",
        ),
        (
            "strategies.1.name",
            "NOT_ALLOWED",
            "Strategies.1.name must be one of: default, flexibleRollout",
        ),
        ("x", "UNKNOWN_FIELD", "There is no field called 'x'"),
    )
    message = "The rollout of searches must be 0 or 100: it has no subject to divide"
    response = await api.call("PUT", SEARCHES, json={"enabled": True, "strategies": [ROLLOUT]})
    refused(response, 400, "NOT_ALLOWED", message, "strategies.0.parameters.rollout")
    response = await api.call("PUT", f"{FLAGS}/not-declared", json={"enabled": True})
    refused(response, 404, "NOT_FOUND", "The requested flag does not exist")
    assert (await api.call("GET", FLAGS)).json()["flags"][0]["state"] == "default"


async def test_a_kill_switch_is_effective_in_every_process_of_every_instance(
    api, service, tmp_path
):
    async with instance(tmp_path, service.env, API_WORKERS="3") as other:
        both = (service.base_url, other)
        cached = "/api/v1/courses?search=cached"
        await searches_are_answered(*both)
        assert (await api.client.get(cached)).status_code == 200
        for _ in range(3):
            assert (await api.call("POST", f"{SEARCHES}/kill")).status_code == 200
            await searches_end_within(1, *both)
            assert (await api.call("PUT", SEARCHES, json={"enabled": True})).status_code == 200
            await searches_are_answered(*both)
        await api.call("POST", f"{SEARCHES}/kill")
        await searches_end_within(1, *both)
        refusal = await api.client.get(f"/api/v1/courses?search={uuid7().hex}")
        refused(refusal, 503, "SWITCHED_OFF", OFF)
        assert refusal.headers["retry-after"] == str(SwitchedOff.retry_after_seconds)
        # What costs no search is answered.
        for path in ("/api/v1/courses", "/api/v1/courses?page=1", cached):
            assert (await api.client.get(path)).status_code == 200


async def test_a_kill_switch_is_effective_while_redis_is_away(api, service, tmp_path):
    gone = {"CACHE_URL": "redis://127.0.0.1:1/0", "BROKER_URL": "redis://127.0.0.1:1/0"}
    async with instance(tmp_path, service.env | gone) as base:
        await searches_are_answered(base)
        await api.call("POST", f"{SEARCHES}/kill")
        await searches_end_within(2, base)


async def test_a_restarted_process_has_the_last_known_good_flags_without_postgresql(
    service, tmp_path
):
    async with (
        own_postgres(tmp_path / "postgres") as database,
        own_api(service, tmp_path, DATABASE_URL=database.url) as server,
        httpx.AsyncClient(base_url=server.address, timeout=30) as client,
    ):
        admin = await Api.log_in(client)
        assert (await admin.call("POST", f"{SEARCHES}/kill")).status_code == 200
        await searches_end_within(1, server.address)
        await database.kill()
        before = server.process.children()
        for child in before:
            child.kill()

        async def is_served_again():
            try:
                return (await client.get("/health/live")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_served_again)
        assert not {child.pid for child in before} & {
            child.pid for child in server.process.children()
        }
        # The default is on, and a search in the database would be UNAVAILABLE.
        assert await search(server.address) == {(503, "SWITCHED_OFF")}
        await database.start()
        reset = await eventually(lambda: _deleted(admin))
        assert reset
        await searches_are_answered(server.address)


async def _deleted(admin: Api) -> bool:
    return (await admin.call("DELETE", SEARCHES)).status_code == 204


async def test_avif_variants_are_made_beside_webp_and_shown_by_a_browser(api):
    plain = await api.pictured(jpeg())
    assert plain["image"].keys() == {"status", "variants"}
    assert (await api.call("PUT", AVIF, json={"enabled": True})).status_code == 200
    # Workers ask for the flags when a task evaluates one.
    await asyncio.sleep(1)
    course = await api.pictured(jpeg())
    image = course["image"]
    assert [each["width"] for each in image["variants"]] == [1280, 640, 320]
    assert {each["format"] for each in image["variants"]} == {"webp"}
    assert course["image_url"] == image["variants"][0]["url"]
    avif, webp = image["sources"]
    assert (avif["type"], webp["type"]) == ("image/avif", "image/webp")
    assert webp["srcset"] == ", ".join(f"{e['url']} {e['width']}w" for e in image["variants"])
    urls = [part.split(" ")[0] for part in avif["srcset"].split(", ")]
    assert [part.split(" ")[1] for part in avif["srcset"].split(", ")] == ["1280w", "640w", "320w"]
    total = 0
    for url in urls:
        response = await api.client.get(url)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/avif")
        assert response.content[4:12] == b"ftypavif"
        assert b"Secret" not in response.content
        total += len(response.content)
    assert total < sum(each["bytes"] for each in image["variants"])
    # An unchanged course is written back, and its image stays.
    body = {key: course[key] for key in ("title", "description", "difficulty", "image_url")}
    written = await api.call("PUT", f"/courses/{course['id']}", json=body)
    assert written.json()["image"] == image
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{api.client.base_url}/swagger/index.html")
        shown, is_drawn = await page.evaluate(PICTURE, image["sources"])
    assert (shown in urls, is_drawn) == (True, True)


async def test_all_variants_of_a_deleted_course_are_removed(api):
    await api.call("PUT", AVIF, json={"enabled": True})
    await asyncio.sleep(1)
    course = await api.pictured(jpeg(400, 300))
    url = course["image"]["sources"][0]["srcset"].split(" ")[0]
    assert (await api.call("DELETE", f"/courses/{course['id']}")).status_code == 204

    async def is_gone():
        return (await api.client.get(url)).status_code == 404

    await eventually(is_gone)


async def test_the_command_line_lists_shows_sets_and_kills(enroll, api):
    code, output, _ = await enroll("flags", "list", "--json")
    assert code == 0
    assert [flag["name"] for flag in json.loads(output)] == ["avif-variants", "searches"]
    steps = (
        (("set", "avif-variants", "--percent", "10"), "default -> on for 10 %"),
        (("set", "avif-variants", "--percent", "50"), "on for 10 % -> on for 50 %"),
        (("kill", "avif-variants"), "avif-variants is off"),
        (("set", "avif-variants", "--on"), "off -> on for 50 %"),
        (("set", "avif-variants", "--off"), "on for 50 % -> off"),
    )
    for arguments, said in steps:
        code, output, errors = await enroll("flags", *arguments)
        assert code == 0, errors
        assert said in output
    document = json.dumps({"enabled": True, "strategies": [{"name": "default"}]})
    code, output, _ = await enroll("flags", "set", "avif-variants", "--file", "-", typed=document)
    assert (code, "off -> on" in output) == (0, True)
    _, output, _ = await enroll("flags", "show", "avif-variants")
    assert "state:             on" in output
    assert '"name": "default"' in output
    _, output, _ = await enroll("flags", "list")
    assert "Runs searches in the database" in output
    assert "never" in output or "20" in output
    code, output, _ = await enroll("flags", "reset", "avif-variants")
    assert (code, (await api.call("GET", AVIF)).json()["state"]) == (0, "default")
    _, output, _ = await enroll("flags", "history", "avif-variants", "--json", "--limit", "7")
    changes = json.loads(output)
    assert [change["action"] for change in changes] == [
        "flags.delete",
        "flags.set",
        "flags.set",
        "flags.set",
        "flags.kill",
        "flags.set",
        "flags.set",
    ]
    assert all(change["actor"].startswith("operator:") for change in changes)
    _, output, _ = await enroll("flags", "history", "avif-variants", "--limit", "2")
    assert "flags.delete" in output


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("set", "searches"), "", "give one of --on, --off, --percent and --file"),
        (("set", "searches", "--on", "--off"), "", "give one of"),
        (("set", "searches", "--percent", "10"), "", "must be 0 or 100"),
        (("set", "searches", "--file", "-"), "[]", "must have a JSON object"),
        (("set", "searches", "--file", "-"), "{", "--file -: "),
        (("set", "searches", "--file", "-"), '{"enabled": 1}', "enabled: "),
        (("set", "not-declared", "--on"), "", "The requested flag does not exist"),
        (("kill", "not-declared"), "", "The requested flag does not exist"),
        (("history", "not-declared"), "", "The requested flag does not exist"),
        (("reset", "searches"), "", "The requested flag does not exist"),
    ],
)
async def test_the_command_line_names_faults(enroll, arguments, typed, said):
    code, output, errors = await enroll("flags", *arguments, typed=typed)
    assert (code != 0, output) == (True, "")
    assert said in errors


async def test_a_percentage_does_not_replace_other_strategies(enroll, api):
    strategies = [{"name": "default"}, ROLLOUT]
    await api.call("PUT", AVIF, json={"enabled": True, "strategies": strategies})
    code, _, errors = await enroll("flags", "set", "avif-variants", "--percent", "10")
    assert (code, "is not a plain rollout" in errors) == (2, True)
