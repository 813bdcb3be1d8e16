"""Freeze which library functions each standard-library module calls, in order.

    python3.11 tools/freeze_calls.py utils/data/frozen

Run once, by Python 3.11.7 on Linux, as ``freeze_imports.py``, whose choice of
modules it takes over; the table is committed. Sources are parsed, not run.
"""

import ast
import collections
import pathlib
import sys
import sysconfig

from freeze_imports import parsed_modules, public_names, write

FEWEST_USERS = 8  # modules that call an item
SHORTEST, LONGEST = 5, 40  # calls of a module that are kept


def names_of_imports(tree, public):
    """What local names stand for: ``{"np": "numpy"}``, for one."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                local = alias.asname or alias.name
                names[local] = f"{node.module}.{alias.name}"
    return {k: v for k, v in names.items() if v.split(".")[0] in public}


def called(tree, names):
    """Dotted names of the calls of imported things, in order of the source."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        parts, function = [], node.func
        while isinstance(function, ast.Attribute):
            parts.append(function.attr)
            function = function.value
        if isinstance(function, ast.Name) and function.id in names:
            name = ".".join([names[function.id], *reversed(parts)])
            found.append((node.lineno, node.col_offset, name))
    return [name for _, _, name in sorted(found)]


def main(folder):
    """Write the table."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    public = public_names()
    calls = {}
    for name, tree in parsed_modules(root):
        own = name.split(".")[0]
        names = names_of_imports(tree, public - {own})
        calls[name] = called(tree, names)
    users = collections.Counter(
        item for found in calls.values() for item in set(found)
    )
    rows = []
    for name, found in calls.items():
        kept = [item for item in found if users[item] >= FEWEST_USERS]
        if len(kept) >= SHORTEST:
            rows.append((name, " ".join(kept[:LONGEST])))
    write(pathlib.Path(folder) / "stdlib_calls.csv", ("module", "calls"), rows)


if __name__ == "__main__":
    main(sys.argv[1])
