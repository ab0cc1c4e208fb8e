"""The checks; each scans a folder with the layout of this repository."""

import json
from pathlib import Path
from typing import Any

from deploy.security import rules
from deploy.security.outcome import Outcome, Verdict, last_line, run_tool

CODE = (
    "api",
    "cli",
    "course_enrollment",
    "deploy",
    "infra",
    "models",
    "services",
    "tasks",
    "worker",
)
LOCKS = (
    *("requirements.lock", "requirements-production.lock"),
    *("requirements-dev.lock", "requirements-bench.lock"),
)
BASELINE = ".secrets.baseline"
SBOM = "dist/sbom.cdx.json"
# Hashes of packages, aerich's states and the baseline look like secrets.
EXCLUDED_FILES = r"\.lock$|^migrations/models/|^\.secrets\.baseline$"
TEST_FILES = "^tests/"
# Plugins that also match invented secrets of tests.
HEURISTIC_PLUGINS = (
    *("KeywordDetector", "BasicAuthDetector", "JwtTokenDetector"),
    *("Base64HighEntropyString", "HexHighEntropyString"),
)
_FOUND_EXIT = 1


def bandit(root: Path) -> Outcome:
    """Run bandit; pyproject.toml has its exceptions."""
    folders = [folder for folder in CODE if (root / folder).is_dir()]
    ran = run_tool(
        root, "bandit", "--recursive", *folders, "-c", "pyproject.toml", "-f", "json", "--quiet"
    )
    report = _json(ran.stdout)
    if report is None or report["errors"]:
        return Outcome(Verdict.NOT_CHECKED, last_line(ran.stderr))
    findings = [
        f"{each['filename']}:{each['line_number']}: {each['test_id']} {each['issue_text']}"
        for each in report["results"]
    ]
    return Outcome.of(findings, f"{report['metrics']['_totals']['loc']} lines")


def dependencies(root: Path, *options: str) -> Outcome:
    """Query OSV for all packages of the locks; a package without a reply is not checked."""
    locks = [argument for lock in LOCKS for argument in ("-r", lock) if (root / lock).exists()]
    ran = run_tool(
        root,
        *("pip-audit", "--strict", "--vulnerability-service", "osv", "--disable-pip"),
        *("--require-hashes", "--progress-spinner", "off", "--format", "json"),
        *(*locks, *options),
    )
    report = _json(ran.stdout)
    if ran.returncode not in {0, _FOUND_EXIT} or report is None or not report["dependencies"]:
        return Outcome(Verdict.NOT_CHECKED, f"no reply from OSV: {last_line(ran.stderr)}")
    skipped = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    if skipped:
        return Outcome(Verdict.NOT_CHECKED, f"skipped: {', '.join(skipped)}")
    findings = [
        f"{each['name']} {each['version']}: {fault['id']}, fixed in {fault['fix_versions']}"
        for each in report["dependencies"]
        for fault in each["vulns"]
    ]
    return Outcome.of(findings, f"{len(report['dependencies'])} packages")


def secrets(root: Path) -> Outcome:
    """Search for secrets; in tests only for those in a vendor's format."""
    if not (root / ".git").exists():
        return Outcome(Verdict.NOT_CHECKED, "detect-secrets needs git for the list of files")
    everywhere = _secrets(root, "--exclude-files", f"{EXCLUDED_FILES}|{TEST_FILES}")
    guesses = [argument for name in HEURISTIC_PLUGINS for argument in ("--disable-plugin", name)]
    in_tests = _secrets(root, "--exclude-files", EXCLUDED_FILES, *guesses)
    if everywhere is None or in_tests is None:
        return Outcome(Verdict.NOT_CHECKED, "detect-secrets did not run")
    baseline = root / BASELINE
    known = _json(baseline.read_text("utf-8")) if baseline.exists() else None
    accepted = {(each["filename"], each["hashed_secret"]) for each in _listed(known)}
    findings = {
        f"{each['filename']}:{each['line_number']}: {each['type']}"
        for each in everywhere + in_tests
        if (each["filename"], each["hashed_secret"]) not in accepted
    }
    return Outcome.of(sorted(findings), f"{len(accepted)} known findings are accepted")


def ruff(root: Path) -> Outcome:
    """Run ruff's security rules."""
    ran = run_tool(root, "ruff", "check", "--output-format", "json", "--no-cache", ".")
    report = _json(ran.stdout)
    if report is None:
        return Outcome(Verdict.NOT_CHECKED, last_line(ran.stderr))
    findings = [
        f"{Path(each['filename']).name}:{each['location']['row']}: {each['code']} {each['message']}"
        for each in report
        if str(each["code"]).startswith("S")
    ]
    return Outcome.of(findings, "rules S: SQL, pickle, yaml.load, shells, temporary files …")


def contracts(root: Path) -> Outcome:
    """Check the import contracts, which forbid pickle among others."""
    ran = run_tool(root, "lint-imports", "--no-cache")
    if ran.returncode == 0:
        return Outcome(Verdict.PASSED, "no pickle, marshal, shelve or yaml; layers hold")
    if "BROKEN" not in ran.stdout:
        return Outcome(Verdict.NOT_CHECKED, last_line(ran.stdout + ran.stderr))
    return Outcome.of([line for line in ran.stdout.splitlines() if " -> " in line], "")


def sql(root: Path) -> Outcome:
    """Search for SQL that is composed at run time."""
    return Outcome.of(rules.check_folder(root, CODE), "statements are written out")


def bill_of_materials(root: Path) -> Outcome:
    """Write the packages of `make run` as a CycloneDX document, and validate it."""
    (root / SBOM).parent.mkdir(exist_ok=True)
    ran = run_tool(
        root,
        *("cyclonedx-py", "requirements", LOCKS[0], "--pyproject", "pyproject.toml"),
        *("--output-reproducible", "--validate", "--output-file", SBOM),
    )
    if ran.returncode != 0:
        return Outcome(Verdict.NOT_CHECKED, last_line(ran.stderr))
    document = json.loads((root / SBOM).read_text("utf-8"))
    return Outcome(Verdict.PASSED, f"{len(document['components'])} components in {SBOM}")


CHECKS = {
    "bandit": bandit,
    "ruff, security rules": ruff,
    "import contracts": contracts,
    "SQL written out": sql,
    "detect-secrets": secrets,
    "pip-audit, strict": dependencies,
    "CycloneDX SBOM": bill_of_materials,
}


def _secrets(root: Path, *options: str) -> list[dict[str, Any]] | None:
    ran = run_tool(root, "detect-secrets", "scan", "--no-verify", *options)
    report = _json(ran.stdout)
    return None if report is None else _listed(report)


def _listed(report: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [each for found in report["results"].values() for each in found] if report else []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
