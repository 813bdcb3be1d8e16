"""Freeze which standard-library modules import which, as two small tables.

    python3.11 tools/freeze_imports.py utils/data/frozen

Run once, by Python 3.11.7 on Linux; the tables are committed. The sources are
parsed with ``ast``, not executed; only modules whose source has no docstring
are imported, in case they have one elsewhere. Another version gives other
tables, and the course's numbers would change with them.
"""

import ast
import csv
import importlib
import pathlib
import sys
import sysconfig

# demos, vendored wheels, editors and tables of characters are no users
LEFT_OUT = {
    "idle_test",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
    "encodings",
    "site-packages",
    "__pycache__",
    "pydoc_data",
    "data",
}
NO_ITEMS = {"test", "idlelib", "lib2to3", "turtledemo", "antigravity", "this"}


def parsed_modules(root):
    """Triples of dotted name, path and syntax tree, sorted by path."""
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        generated = parts[0].startswith(("_sysconfigdata", "config-"))
        if LEFT_OUT & set(parts) or generated:
            continue
        if parts[-1] == "__init__":
            parts = parts[:-1]
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # broken on purpose, as material of Python's own tests
        yield ".".join(parts), tree


def imported(tree):
    """Top-level names of all absolute imports, wherever they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def docstring(name, trees):
    """Docstring of a module, from its source if it stands there."""
    if name in trees and ast.get_docstring(trees[name]):
        return ast.get_docstring(trees[name])
    try:
        return importlib.import_module(name).__doc__ or ""
    except ImportError:  # another operating system's
        return ""


def write(path, header, rows):
    """A comma-separated table with Unix line ends."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def public_names():
    """Modules of the standard library that anybody may import."""
    return {
        name
        for name in sys.stdlib_module_names - NO_ITEMS
        if not name.startswith("_")
    }


def main(folder):
    """Write both tables."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    public = public_names()
    trees, imports = {}, []
    for name, tree in parsed_modules(root):
        trees[name] = tree
        own = name.split(".")[0]
        found = sorted((set(imported(tree)) & public) - {own})
        if found:
            imports.append((name, " ".join(found)))
    items = sorted({item for _, found in imports for item in found.split()})
    summaries = []
    for name in items:
        first = docstring(name, trees).strip().split("\n\n")[0]
        summaries.append((name, " ".join(first.split())[:300]))
    folder = pathlib.Path(folder)
    write(folder / "stdlib_imports.csv", ("module", "imports"), imports)
    write(folder / "stdlib_summaries.csv", ("module", "summary"), summaries)


if __name__ == "__main__":
    main(sys.argv[1])
