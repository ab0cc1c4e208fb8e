"""Linters of OpenAPI and the TypeScript compiler accept the document; needs node and npm."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.absent import is_absent

README = Path(__file__).parents[2] / "README.md"
TOOLS = (
    "@redocly/cli@2.77.0",
    "@stoplight/spectral-cli@6.16.3",
    "openapi-typescript@7.13.0",
    "typescript@5.9.3",
)
INSTALL_SECONDS = 300
# The installed tools stay beside pytest's cache for the next run.
FOLDER = "document-tools"
SOURCE = """
import type { components } from "./types";
type Schemas = components["schemas"];
export const fromReadme: Schemas["CourseIn"] = COURSE;
export const whole: Schemas["CourseReplacement"] = fromReadme;
export const form: Schemas["CourseUploadForm"] = fromReadme;
export const patch: Schemas["CoursePatch"] = { title: "Another" };
export const code: Schemas["ErrorDetailsOut"]["code"] = "PRECONDITION_FAILED";
export const read = (course: Schemas["CourseOut"]): string | undefined => course.image_url;
// @ts-expect-error a course has a difficulty
export const short: Schemas["CourseIn"] = { title: "x", description: "x" };
// @ts-expect-error there is no such code
export const odd: Schemas["ErrorDetailsOut"]["code"] = "ODD";
"""


@pytest.fixture(scope="module")
def folder(pytestconfig):
    """The folder of the installed tools."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            is_absent(program, "nodejs npm")
    folder = pytestconfig.cache.mkdir(FOLDER)
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_text() != json.dumps(TOOLS):
        flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        command = ("npm", "install", "--prefix", str(folder), *flags, *TOOLS)
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            is_absent("registry of npm", "nodejs npm")
        installed.write_text(json.dumps(TOOLS))
    return folder


@pytest.fixture
async def document(folder, client):
    """The document of the running service as a file."""
    path = folder / "openapi.json"
    path.write_bytes((await client.get("/openapi.json")).content)
    return path


def run_tool(folder, *command):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def tool(folder, name, *arguments):
    return run_tool(folder, "node", str(folder / "node_modules/.bin" / name), *arguments)


@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_redocly_reports_no_error(folder, document):
    said = tool(folder, "redocly", "lint", str(document), "--format", "stylish")
    assert "Your API description is valid" in said


@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_spectral_reports_no_error(folder, document):
    rules = folder / "rules.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    arguments = ("--ruleset", str(rules), "--fail-severity", "error")
    tool(folder, "spectral", "lint", str(document), *arguments)


def readme_course():
    """Return the smallest course that README sends."""
    found = re.search(r"JSON\.stringify\((\{[^}]*title[^}]*\})\)", README.read_text("utf-8"))
    assert found, "README sends no course"
    return found[1]


@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_generated_types_accept_the_readme_course(folder, document):
    tool(folder, "openapi-typescript", str(document), "-o", str(folder / "types.d.ts"))
    source = folder / "use.ts"
    source.write_text(SOURCE.replace("COURSE", readme_course()))
    tool(folder, "tsc", "--strict", "--noEmit", str(source))
