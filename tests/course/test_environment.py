"""The files that say what to install agree with each other."""

import ast
import json
import pathlib
import re
import sys
import tomllib

import build_notebooks
import check_pythons
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from setuptools import find_namespace_packages

from utils import runtime

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PYTHONS = ("3.11", "3.12", "3.13")


def lines(name):
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def requirements(name):
    """Lines of a requirements file that name a package."""
    return [
        line
        for line in lines(name)
        if line.strip() and not line.lstrip().startswith(("#", "-"))
    ]


def by_name(texts):
    parsed = [Requirement(text.split(" #")[0].strip()) for text in texts]
    found = {canonicalize_name(item.name): item for item in parsed}
    assert len(found) == len(parsed), "a package is named twice"
    return found


def bounds(texts):
    return {name: item.specifier for name, item in by_name(texts).items()}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DIRECT = bounds(requirements("requirements.txt"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))


def locked():
    """Package to the list of locked versions (one per marker)."""
    found = {}
    for line in requirements("requirements.lock"):
        item = Requirement(line)
        found.setdefault(canonicalize_name(item.name), []).append(item)
    return found


def test_requirements_and_conda_environment_name_the_same_set():
    (pip,) = (d for d in CONDA["dependencies"] if isinstance(d, dict))
    assert pip["pip"][-1] == "-e ."
    assert bounds(pip["pip"][:-1]) == DIRECT


def test_requirements_end_with_the_package_itself():
    assert lines("requirements.txt")[-1].strip() == "-e ."


@pytest.mark.parametrize(
    "line",
    requirements("requirements.txt"),
    ids=lambda line: re.split(r"[<>=\s]", line)[0],
)
def test_requirement_is_bounded_on_both_sides_and_says_why(line):
    specifier = Requirement(line.split(" #")[0].strip()).specifier
    operators = sorted(item.operator for item in specifier)
    assert operators == ["<", ">="]
    assert re.search(r" # \w", line)


def test_pyproject_dependencies_are_a_subset_with_equal_bounds():
    wanted = bounds(PROJECT["dependencies"])
    assert wanted == {name: DIRECT[name] for name in wanted}


def test_pyproject_has_what_the_library_imports():
    imported = set()
    for path in (ROOT / "utils").rglob("*.py"):
        if path.stem == "backend":
            continue  # imports whichever backend runs
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    top = {name.split(".")[0] for name in imported} - {"utils"}
    names = {"sklearn": "scikit-learn"}
    names |= dict.fromkeys(("cycler", "PIL"), "matplotlib")  # it needs both
    third_party = {names.get(n, n) for n in top - sys.stdlib_module_names}
    assert third_party == set(bounds(PROJECT["dependencies"]))


@pytest.mark.parametrize("name", DIRECT)
def test_direct_dependency_is_locked_within_its_bounds(name):
    for item in locked()[name]:
        (pin,) = item.specifier
        assert pin.operator == "=="
        assert DIRECT[name].contains(pin.version)


def test_lock_pins_every_line_and_names_no_address():
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert " @ " not in text
    for items in locked().values():
        for item in items:
            assert [pin.operator for pin in item.specifier] == ["=="]
            assert item.marker or len(items) == 1


def pins_within(file, *names):
    """Pins of a file, each inside the bounds of the extras ``names``."""
    extras = bounds(
        text
        for name in names
        for text in PROJECT["optional-dependencies"][name]
    )
    pins = bounds(requirements(file))
    assert set(pins) == set(extras)
    for name, pin in pins.items():
        (only,) = pin
        assert only.operator == "=="
        assert extras[name].contains(only.version)
    return pins


def test_site_s_file_fits_its_extra():
    assert pins_within("requirements-site.txt", "site")


def test_backends_file_fits_the_extras():
    pins = pins_within("requirements-backends.txt", "jax", "torch")
    assert set(pins) == {"jax", "torch"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"PIP_TORCH ?= torch{pins['torch']}\n" in makefile


def supported(specifier):
    minors = [Version(f"3.{minor}") for minor in range(8, 20)]
    return tuple(str(v) for v in minors if SpecifierSet(specifier).contains(v))


def test_python_range_is_the_same_everywhere():
    (conda,) = (
        text.removeprefix("python")
        for text in CONDA["dependencies"]
        if isinstance(text, str) and text.startswith("python")
    )
    assert supported(PROJECT["requires-python"]) == PYTHONS
    assert supported(conda) == PYTHONS
    (low, high) = runtime.PYTHONS
    assert (f"{low[0]}.{low[1]}", f"{high[0]}.{high[1]}") == (
        PYTHONS[0],
        PYTHONS[-1],
    )
    assert check_pythons.VERSIONS == PYTHONS
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"({low[0]}, {low[1]}) <= v <= ({high[0]}, {high[1]})" in makefile


@pytest.fixture(scope="module")
def workflow():
    if not WORKFLOW.exists():
        pytest.skip("no workflow file")
    return yaml.safe_load(WORKFLOW.read_text("utf-8"))


def test_workflow_tests_every_supported_python_and_system(workflow):
    matrix = workflow["jobs"]["unit"]["strategy"]["matrix"]
    assert tuple(matrix["python-version"]) == PYTHONS
    assert [name.split("-")[0] for name in matrix["os"]] == [
        "ubuntu",
        "macos",
        "windows",
    ]
    notebooks = workflow["jobs"]["notebooks"]["strategy"]["matrix"]
    assert set(notebooks["python-version"]) <= set(PYTHONS)


def test_workflow_reads_only_and_checks_cheap_things_first(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert jobs["unit"]["needs"] == "lint"
    assert jobs["notebooks"]["needs"] == "unit"
    assert all("timeout-minutes" in job for job in jobs.values())


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_s_actions_are_pinned_by_commit(path):
    for line in path.read_text("utf-8").splitlines():
        if "uses:" in line:
            assert re.search(r"@[0-9a-f]{40} # v\d", line), line


def test_versions_within_the_bounds_have_a_command_each():
    text = (ROOT / ".github" / "workflows" / "versions.yml").read_text("utf-8")
    matrix = yaml.safe_load(text)["jobs"]["unit"]["strategy"]["matrix"]
    assert set(matrix["python-version"]) <= set(PYTHONS)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for resolution in matrix["resolution"]:
        assert re.search(
            rf"^setup-.*setup-{resolution}:|^setup-{resolution} ",
            makefile,
            re.M,
        )


def test_binder_installs_the_lock_on_a_python_that_it_understands():
    (version,) = lines(".binder/runtime.txt")
    assert version.removeprefix("python-") in PYTHONS
    wanted = [
        line for line in lines(".binder/requirements.txt") if line[0] == "-"
    ]
    assert wanted == ["-r ../requirements.lock", "-e ."]
    assert (ROOT / ".binder" / wanted[0].split()[1]).resolve() == (
        ROOT / "requirements.lock"
    )


def test_container_installs_the_lock_on_a_python_of_ours():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.M)
    assert version in PYTHONS
    assert "-r requirements.lock" in text
    assert 'CMD ["python", "tools/lab.py"' in text
    settings = ROOT / ".devcontainer" / "devcontainer.json"
    build = json.loads(settings.read_text("utf-8"))["build"]
    assert (settings.parent / build["dockerfile"]).resolve() == (
        ROOT / "Dockerfile"
    )


def test_address_of_the_course_is_asked_for_in_one_place():
    assert PROJECT["urls"]["Repository"] == build_notebooks.REPOSITORY


def test_packages_of_the_set_up_check_are_all_required():
    assert {canonicalize_name(name) for name in runtime.PACKAGES} <= set(DIRECT)


def test_packages_installed_include_every_folder_of_the_library():
    text = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    rules = text["tool"]["setuptools"]
    found = find_namespace_packages(str(ROOT), **rules["packages"]["find"])
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "utils").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(found) == folders
    assert rules["package-data"] == {"*": ["*"]}, "data files, licences"


def test_citation_names_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    for wanted in ("message", "title", "authors", "type"):
        assert citation[wanted], wanted
    title = lines("README.md")[0].removeprefix("# ")
    assert citation["title"] == title
