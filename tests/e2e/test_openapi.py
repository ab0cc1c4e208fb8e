"""The OpenAPI document is complete, true, and enough to generate a client from."""

import asyncio
import copy
import importlib
import json
import re
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from uuid_utils.compat import uuid7

from api.endpoint.operation import API_PREFIX
from api.errors import TITLES
from services.errors import Code
from tests import photos
from tests.factories import ADMIN, COURSE, NO_ID, bearer, new_email, token

BIN = Path(sys.executable).parent
FORM = "multipart/form-data"
JSON = "application/json"
METHODS = {"get", "put", "post", "delete", "patch"}
# Keywords of a schema; validators ignore a misspelt one.
KEYWORDS = {
    *("$ref", "type", "format", "enum", "anyOf", "items", "properties", "required", "title"),
    *("additionalProperties", "description", "examples", "uniqueItems", "readOnly"),
    *("contentMediaType", "contentSchema"),
    *("minimum", "maximum", "minLength", "maxLength", "maxItems", "pattern"),
}


@pytest.fixture(scope="session")
async def document(client):
    response = await client.get("/openapi.json")
    assert response.headers["content-type"] == JSON
    return response.json()


def operations(document):
    """Yield the method, path and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def responses(document):
    """Yield a name, the status and the description of every response."""
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            yield f"{operation['operationId']} {status}", int(status), response


def schemas(document):
    """Yield a name and every schema, nested ones too."""
    for name, schema in document["components"]["schemas"].items():
        yield from nested(name, schema)
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            yield from nested(
                f"{operation['operationId']} {parameter['name']}", parameter["schema"]
            )
    for name, _, response in responses(document):
        for content in response.get("content", {}).values():
            yield from nested(name, content["schema"])


def nested(name, schema):
    yield name, schema
    for key, one in schema.get("properties", {}).items():
        yield from nested(f"{name}.{key}", one)
    for number, one in enumerate(schema.get("anyOf", [])):
        yield from nested(f"{name}|{number}", one)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nested(f"{name}.{key}", schema[key])


def examples(document):
    """Yield the name, schema and value of every example that is not an error."""
    for name, schema in schemas(document):
        for example in schema.get("examples", []):
            yield name, schema, example
    for _, path, operation in operations(document):
        contents = operation.get("requestBody", {}).get("content", {}).values()
        for part in [*operation["parameters"], *contents]:
            if "example" in part:
                yield path, part["schema"], part["example"]


def error_examples(document):
    """Yield the name, status, schema and content of every example of an error."""
    for name, status, response in responses(document):
        for content in response.get("content", {}).values():
            for key, example in content.get("examples", {}).items():
                yield f"{name} {key}", status, content["schema"], example


def faults(document, schema, value, *, closed=False):
    """Return the faults of a value; `closed` also refuses fields that the schema does not name."""
    components = copy.deepcopy(document["components"])
    if closed:
        for component in components["schemas"].values():
            if "properties" in component:
                component.setdefault("additionalProperties", False)
    validator = Draft202012Validator(
        {**schema, "components": components}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


async def test_both_addresses_return_the_same_valid_document(client, document):
    plain, swagger = await asyncio.gather(
        client.get("/openapi.json"), client.get("/swagger/doc.json")
    )
    assert plain.content == swagger.content
    validate(document)
    assert document["openapi"].startswith("3.1")


async def test_everything_has_a_description(document):
    silent = []
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert set(tags) == {tag for _, _, page in operations(document) for tag in page["tags"]}
    for method, path, operation in operations(document):
        name = f"{method} {path}"
        silent += [name for key in ("summary", "operationId", "tags") if not operation.get(key)]
        for parameter in operation["parameters"]:
            if not parameter.get("description"):
                silent.append(f"{name} {parameter['name']}")
        if "requestBody" in operation and not operation["requestBody"].get("description"):
            silent.append(f"{name} body")
    for name, status, response in responses(document):
        silent += [name] if not response.get("description") else []
        silent += [
            f"{name} {header}"
            for header, about in response["headers"].items()
            if not about.get("description")
        ]
        assert "X-Request-ID" in response["headers"], name
        if status not in {204, 304}:
            assert all("schema" in content for content in response["content"].values()), name
    silent += [
        name
        for name, schema in schemas(document)
        if re.fullmatch(r"\w+(\.\w+)?", name)
        and not name.endswith((".items", ".additionalProperties"))
        and not schema.get("description")
    ]
    assert silent == []


async def test_schemas_only_use_known_keywords(document):
    unknown = {
        name: sorted(set(schema) - KEYWORDS)
        for name, schema in schemas(document)
        if set(schema) - KEYWORDS
    }
    assert unknown == {}


async def test_every_example_matches_its_schema(document):
    plain = list(examples(document))
    errors = list(error_examples(document))
    assert len(plain) > 50
    assert len(errors) > 100
    wrong = [
        f"{name}: {fault}"
        for name, schema, value in [*plain, *((n, s, page["value"]) for n, _, s, page in errors)]
        for fault in faults(document, schema, value, closed=True)
    ]
    assert wrong == []
    for name, status, _, page in errors:
        assert page["summary"] == page["value"]["message"], name
        assert page["value"]["error"] == TITLES[status], name
        assert page["value"]["details"]["code"] in set(Code), name


async def test_every_error_has_an_example(document):
    for name, status, response in responses(document):
        # /health reports a failure in its own shape.
        if status >= 400 and name != "health 503":
            content = response["content"][JSON]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorOut"}, name
            assert content["examples"], name


async def test_bodies_have_examples_and_files_are_binary(document):
    forms = 0
    for _, path, operation in operations(document):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            model = content["schema"]["$ref"].rpartition("/")[2]
            fields = document["components"]["schemas"][model]["properties"]
            if kind != FORM:
                own = {name for name, field in fields.items() if "readOnly" not in field}
                assert set(content["example"]) == own, path
                continue
            forms += 1
            assert kind == FORM
            file = dict(fields["image"])
            file |= document["components"]["schemas"][file["$ref"].rpartition("/")[2]]
            assert (file["type"], file["format"]) == ("string", "binary")
            # A form can leave a field out; it has no null.
            assert not any("anyOf" in field for field in fields.values())
    assert forms == 2


async def test_the_listing_and_its_parameters_are_described_correctly(document):
    listing = document["paths"]["/api/v1/courses"]["get"]
    page, array = listing["responses"]["200"]["content"][JSON]["schema"]["anyOf"]
    assert page == {"$ref": "#/components/schemas/CoursePageOut"}
    assert array == {"type": "array", "items": {"$ref": "#/components/schemas/CourseOut"}}
    parameters = {parameter["name"]: parameter for parameter in listing["parameters"]}
    parameters.pop("If-None-Match")
    assert set(parameters) == {"page", "limit", "search", "difficulty", "sort"}
    difficulty = parameters["difficulty"]
    assert (difficulty["style"], difficulty["explode"]) == ("form", False)
    assert difficulty["schema"]["items"] == {"$ref": "#/components/schemas/Difficulty"}
    blank = {"type": "string", "maxLength": 0}
    for name in set(parameters) - {"difficulty"}:
        told, other = parameters[name]["schema"]["anyOf"]
        assert other == blank, name
        # A tool that sends defaults would never get the plain array.
        assert "default" not in told, name
    assert parameters["search"]["schema"]["anyOf"][0]["maxLength"] == 200
    assert parameters["page"]["schema"]["anyOf"][0]["minimum"] == 1


async def test_absent_and_null_are_distinguished(document):
    components = document["components"]["schemas"]
    course, task = components["CourseOut"], components["TaskOut"]
    assert {"image_url", "image"}.isdisjoint(course["required"])
    assert "anyOf" not in course["properties"]["image_url"]
    assert "finished_at" in task["required"]
    assert {"type": "null"} in task["properties"]["finished_at"]["anyOf"]


async def test_the_document_has_exactly_the_routes_of_the_router(app, document):
    routed = {
        (method.lower(), re.sub(r"<(\w+)(:\w+)?>", r"{\1}", f"/{route.path}"))
        for route in app.router.routes
        for method in route.methods
        if method.lower() in METHODS
    }
    ours = {(method, path) for method, path in routed if path.startswith((API_PREFIX, "/health"))}
    assert ours == {(method, path) for method, path, _ in operations(document)}
    assert len(ours) >= 20


def _token(role, lifetime=3600):
    return bearer(token(role=role, exp=int(time.time()) + lifetime))


_REFUSED_EXAMPLES = {
    "create_enrollment": ("UnknownCourse", {}),
    "login": ("InvalidCredentials", {"password": "wrong"}),
    "refresh": ("InvalidRefreshToken", {}),
}


def _faulty_requests(operation):
    """Yield an example's name and its request: path values, headers or None, other arguments."""
    path_names = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
    query_names = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
    for name in path_names:
        yield f"bad_{name}", {name: "%3F"}, None, {}
    if query_names:
        yield "bad_query", {}, None, {"params": dict.fromkeys(query_names, "?")}
    content = operation.get("requestBody", {}).get("content", {})
    # A patch has no required field.
    if JSON in content and operation["operationId"] != "patch_course":
        yield "empty", {}, None, {"content": b"{}"}
    if JSON in content:
        yield "malformed", {}, None, {"content": b"{"}
    if FORM in content:
        yield "empty", {}, None, {"content": b"--b--\r\n", "type": f"{FORM}; boundary=b"}
    # Where a token is only one of several ways, a running service accepts one of them.
    if operation.get("security") == [{"bearer": []}]:
        yield "MissingToken", {}, {}, {}
        yield "MalformedToken", {}, {"Authorization": "Basic YTpi"}, {}
        yield "InvalidToken", {}, {"Authorization": "Bearer a.b.c"}, {}
        yield "ExpiredToken", {}, _token("admin", -3600), {}
        if "403" in operation["responses"]:
            yield "AdminsOnly", {}, _token("student"), {}
    if operation["operationId"] in _REFUSED_EXAMPLES:
        name, change = _REFUSED_EXAMPLES[operation["operationId"]]
        yield name, {}, None, {"content": json.dumps(content[JSON]["example"] | change)}
    kind = path_names[0].replace("_id", "").title() + "NotFound" if path_names else None
    if kind in {"CourseNotFound", "TaskNotFound"} and "requestBody" not in operation:
        yield kind, {}, None, {}


async def test_error_examples_are_real_responses(api, document):
    provoked = 0
    told = {name: (status, page["value"]) for name, status, _, page in error_examples(document)}
    usual = {"course_id": NO_ID, "task_id": NO_ID, "enrollment_id": NO_ID, "email": "a@b.org"}
    usual |= {"flag_name": "avif-variants", "workflow_id": NO_ID}
    for method, path, operation in operations(document):
        for name, values, headers, request in _faulty_requests(operation):
            sent = dict(api.headers if headers is None else headers)
            sent["Content-Type"] = request.pop("type", JSON)
            url = path.format(**usual | values)
            response = await api.client.request(method, url, headers=sent, **request)
            key = f"{operation['operationId']} {response.status_code} {name}"
            assert (response.status_code, response.json()) == told[key], key
            provoked += 1
    assert provoked > 60


async def test_real_responses_match_the_document(service, api, document):
    course = await api.new_course(image_url="https://images.example.org/a.png")
    uploaded = (await api.upload(photos.jpeg(800, 600))).json()
    broken = (await api.upload(photos.truncated_jpeg())).json()
    await asyncio.gather(api.settled(uploaded["id"]), api.settled(broken["id"]))
    task_id = uploaded["image"]["task_id"]
    workflow_id = str(uuid7())
    rows = await asyncpg.connect(service.env["DATABASE_URL"])
    await rows.execute("UPDATE tasks SET workflow_id = $2 WHERE id = $1", task_id, workflow_id)
    await rows.close()
    student = new_email()
    place = {"student_email": student, "course_id": course["id"]}
    path = "/api/v1/courses/{course_id}"
    ids = {"course_id": course["id"], "task_id": task_id, "email": student, "enrollment_id": NO_ID}
    ids |= {"workflow_id": workflow_id}
    form = {"data": COURSE, "files": {"image": ("a.txt", b"no image")}}
    session = (await api.client.post("/api/v1/auth/login", json=ADMIN)).json()
    spent = {"json": {"refresh_token": session["refresh_token"]}}
    calls = [
        ("post", "/api/v1/auth/login", {"json": ADMIN}, 200),
        ("post", "/api/v1/auth/refresh", spent, 200),
        ("post", "/api/v1/auth/refresh", {"json": {"refresh_token": "x"}}, 401),
        ("post", "/api/v1/auth/logout", {"headers": bearer(session["token"])}, 204),
        ("post", "/api/v1/auth/login", {"json": ADMIN | {"password": "wrong"}}, 401),
        ("get", "/api/v1/auth/profile", {}, 200),
        ("post", "/api/v1/enrollments", {"json": place}, 201),
        ("post", "/api/v1/enrollments", {"json": place}, 409),
        ("post", "/api/v1/enrollments", {"json": place | {"course_id": NO_ID}}, 400),
        ("get", "/api/v1/courses", {}, 200),
        (
            "get",
            "/api/v1/courses",
            {"params": {"limit": 2, "difficulty": "Beginner,Advanced"}},
            200,
        ),
        ("get", "/api/v1/courses", {"params": {"page": 0}}, 400),
        ("get", path, {}, 200),
        ("get", path, {"course_id": uploaded["id"]}, 200),
        ("get", path, {"course_id": broken["id"]}, 200),
        ("get", path, {"course_id": NO_ID}, 404),
        ("put", path, {"json": COURSE}, 200),
        ("put", path, {"json": {"title": "", "more": 1}}, 400),
        ("post", "/api/v1/courses", {"json": COURSE}, 201),
        ("post", "/api/v1/courses", {"json": COURSE, "headers": {}}, 401),
        ("post", "/api/v1/courses", {"json": COURSE, "headers": _token("student")}, 403),
        ("post", "/api/v1/courses", {"json": COURSE | {"description": "x" * (1 << 20)}}, 413),
        ("post", "/api/v1/courses/upload", form, 415),
        ("get", f"{path}/students", {}, 200),
        ("get", "/api/v1/students/{email}/enrollments", {}, 200),
        ("get", "/api/v1/admin/students", {"params": {"limit": 2}}, 200),
        ("get", "/api/v1/admin/enrollments", {"params": {"email": student}}, 200),
        ("delete", "/api/v1/admin/enrollments/{enrollment_id}", {}, 404),
        ("delete", f"{path}/students/{{email}}", {}, 204),
        ("get", "/api/v1/tasks/{task_id}", {}, 200),
        ("get", "/api/v1/tasks/{task_id}", {"headers": {}}, 200),
        ("get", "/api/v1/tasks/{task_id}/events", {}, 200),
        ("get", "/api/v1/admin/tasks", {"params": {"limit": 2}}, 200),
        ("post", "/api/v1/admin/tasks/{task_id}/cancel", {}, 409),
        ("get", "/api/v1/workflows/{workflow_id}", {"params": {"limit": 2}}, 200),
        ("get", "/api/v1/workflows/{workflow_id}", {"workflow_id": NO_ID}, 404),
        ("delete", path, {}, 204),
        ("get", "/health", {}, 200),
        ("get", "/health/live", {}, 200),
        ("get", "/health/ready", {}, 200),
    ]
    for method, template, given, status in calls:
        request = {"headers": api.headers} | given
        values = ids | {name: request.pop(name) for name in ids if name in request}
        response = await api.client.request(method, template.format(**values), **request)
        name = f"{method} {template} {response.text[:300]}"
        assert response.status_code == status, name
        page = document["paths"][template][method]["responses"][str(status)]
        kind, *_ = response.headers.get("content-type", "").split(";")
        assert kind in page.get("content", {"": None}), name
        if kind == JSON:
            schema = page["content"][kind]["schema"]
            assert faults(document, schema, response.json(), closed=True) == [], name
        sometimes = {"X-Total-Count", "Link"} if "params" in given else {"Idempotency-Replayed"}
        assert set(page["headers"]) - sometimes <= {
            header.title().replace("Id", "ID").replace("Www", "WWW").replace("Etag", "ETag")
            for header in response.headers
        }, name


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/nothing", 404), ("PATCH", "/api/v1/courses", 405), ("POST", "/health", 405)],
)
async def test_errors_outside_all_operations_have_the_same_shape(
    client, document, method, path, status
):
    response = await client.request(method, path)
    assert response.status_code == status
    schema = {"$ref": "#/components/schemas/ErrorOut"}
    assert faults(document, schema, response.json(), closed=True) == []


@pytest.fixture(scope="session")
def generated(document, tmp_path_factory):
    """The folder with the generated package `enroll_client`."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.yml").write_text("post_hooks: []\n")
    _run(
        *("openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none"),
        *("--config", "config.yml", "--output-path", "enroll_client", "--fail-on-warning"),
        cwd=folder,
    )
    return folder


def _run(name, *arguments, cwd):
    done = subprocess.run(
        [BIN / name, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_client_type_checks(generated):
    (generated / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    _run("mypy", "--config-file=mypy.ini", "--cache-dir=.mypy", "enroll_client", cwd=generated)


async def test_generated_client_can_do_the_main_job(generated, service, monkeypatch):
    monkeypatch.syspath_prepend(str(generated))
    package = importlib.import_module("enroll_client")
    models = importlib.import_module("enroll_client.models")
    types = importlib.import_module("enroll_client.types")

    def call(operation):
        return importlib.import_module(f"enroll_client.api.{operation}").asyncio

    async with package.Client(service.base_url, raise_on_unexpected_status=True) as anyone:
        login = await call("auth.login")(client=anyone, body=models.LoginIn(**ADMIN))
        async with package.AuthenticatedClient(
            service.base_url, token=login.token, raise_on_unexpected_status=True
        ) as admin:
            picture = types.File(BytesIO(photos.jpeg(800, 600)), "photo.jpg", "image/jpeg")
            form = models.CourseUploadForm(
                title=f"Generated {uuid7()}",
                description="By a generated client",
                difficulty=models.Difficulty.ADVANCED,
                image=picture,
            )
            course = await call("courses.upload_course")(client=admin, body=form)
            assert isinstance(course, models.CourseOut), course
            assert course.image.status is models.ImageStatus.PROCESSING
            await _succeeded(models, call("tasks.get_task"), course.image.task_id, anyone)
        course = await call("courses.get_course")(course.id, client=anyone)
        assert course.image.status is models.ImageStatus.READY
        assert [variant.width for variant in course.image.variants] == [800, 640, 320]
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(course.image_url)).content[8:12] == b"WEBP"

        page = await call("courses.list_courses")(client=anyone, search=course.title, limit=5)
        assert [found.id for found in page.data] == [course.id]
        assert page.pagination.total_count == 1
        array = await call("courses.list_courses")(client=anyone)
        assert course.id in {found.id for found in array}

        place = models.EnrollmentIn(student_email=new_email(), course_id=course.id)
        enrollment = await call("enrollments.create_enrollment")(client=anyone, body=place)
        assert isinstance(enrollment.id, UUID)
        assert enrollment.course.title == course.title
        again = await call("enrollments.create_enrollment")(client=anyone, body=place)
        assert isinstance(again, models.ErrorOut)
        assert again.details.code == Code.DUPLICATE_ENROLLMENT


async def _succeeded(models, get_task, task_id, client, within=20):
    deadline = time.monotonic() + within
    while True:
        task = await get_task(task_id, client=client)
        if task.status not in {models.TaskState.QUEUED, models.TaskState.RUNNING}:
            assert task.status is models.TaskState.SUCCEEDED, task
            return
        assert time.monotonic() < deadline, task
        await asyncio.sleep(0.05)
