"""Do the chapters hold on another processor and with other seeds?

    python tools/robust.py              every chapter, every variant
    python tools/robust.py 04           only chapters whose name has 04
    python tools/robust.py --only seed  only variants whose name has "seed"

A variant is an environment, or a shift of every seed that a chapter names.
In the first every assert has to hold and every printed number has to be the
committed one, as in ``make test``; in the second every assert has to hold.
docs/robust.md gets a row a chapter, and says which cells failed.
"""

import argparse
import ast
import dataclasses
import re
import sys

import nbformat
import numpy as np
from nbval.plugin import get_sanitize_patterns
from nbval_numbers import same_print
from run_course import slowest_first
from sittings import ROOT, THREADS, Sitting, room, run_all, sources, tags

from utils.support.files import write_whole

# what may differ: pairs for re.sub
SANITIZERS = get_sanitize_patterns(
    (ROOT / "tests" / "nbval_sanitize.cfg").read_text("utf-8")
)
PAGE = ROOT / "docs" / "robust.md"
TAKE_A_SEED = ("default_rng", "set_random_seed", "SeedGenerator")
STRIDE = 1000  # seeds of a chapter are smaller, so that none meets another
FOUND = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
AVX512 = " ".join(n for n in FOUND if n == "X86_V4" or n.startswith("AVX512"))


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is different in a run.

    Args:
        name: Heading of its column.
        environment: Environment variables of the kernel.
        shift: What is added to each seed; if 0, outputs are compared.
    """

    name: str
    environment: dict = dataclasses.field(default_factory=dict)
    shift: int = 0


VARIANTS = (
    Variant("as committed"),
    Variant("one thread", dict.fromkeys(THREADS, "1")),
    Variant("two threads", dict.fromkeys(THREADS, "2")),
    Variant("oneDNN on", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
    Variant(
        "without AVX-512",
        {
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "NPY_DISABLE_CPU_FEATURES": AVX512,
            "OPENBLAS_CORETYPE": "Haswell",
        },
    ),
    *(Variant(f"seeds + {k}", shift=k * STRIDE) for k in (1, 2, 3)),
)


# ------------------------------------------------------------- other seeds


class Shift(ast.NodeTransformer):
    """Add a number to each seed that code names.

    Seeds are whole numbers given as ``seed=``, ``…_seed=`` or
    ``random_state=``, in a call or as a default, the first argument of what
    takes one there, those under a name that ends in "seed" or "seeds", and
    what a loop over ``seed`` counts.
    """

    def __init__(self, shift):
        self.shift = shift

    def visit_keyword(self, node):
        """``seed=0``."""
        self.generic_visit(node)
        if node.arg and is_seed(node.arg):
            node.value = self.moved(node.value)
        return node

    def visit_Call(self, node):
        """``default_rng(0)``, ``seeds(3)``."""
        self.generic_visit(node)
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in TAKE_A_SEED and node.args:
            node.args[0] = self.moved(node.args[0])
        if called == "seeds" and len(node.args) == 1 and not node.keywords:
            node.args.append(ast.Constant(self.shift))
        return node

    def visit_Assign(self, node):
        """``SEEDS = range(3)``, ``SEED = 0``."""
        self.generic_visit(node)
        if all(is_seed(getattr(t, "id", "")) for t in node.targets):
            node.value = self.moved(node.value)
        return node

    def visit_arguments(self, node):
        """``def f(seed=0)``."""
        self.generic_visit(node)
        places = node.posonlyargs + node.args
        first = len(places) - len(node.defaults)
        for i, argument in enumerate(places[first:]):
            if is_seed(argument.arg):
                node.defaults[i] = self.moved(node.defaults[i])
        for i, argument in enumerate(node.kwonlyargs):
            if is_seed(argument.arg) and node.kw_defaults[i] is not None:
                node.kw_defaults[i] = self.moved(node.kw_defaults[i])
        return node

    def visit_For(self, node):
        """``for seed in range(3)``, and the same in a comprehension."""
        self.generic_visit(node)
        if is_seed(getattr(node.target, "id", "")):
            node.iter = self.moved(node.iter)
        return node

    visit_comprehension = visit_For

    def moved(self, node):
        """The same expression with its numbers moved; others stay."""
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return ast.Constant(node.value + self.shift)
        if isinstance(node, (ast.Tuple, ast.List)):
            node.elts = [self.moved(one) for one in node.elts]
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == "range":
                if len(node.args) == 1:
                    node.args.insert(0, ast.Constant(0))
                node.args[:2] = [
                    ast.BinOp(end, ast.Add(), ast.Constant(self.shift))
                    for end in node.args[:2]
                ]
            if called == "pick":
                for keyword in node.keywords:
                    keyword.value = self.moved(keyword.value)
        return node


def is_seed(name):
    """Whether a name is that of a seed or of several."""
    return bool(re.search(r"(^|_)(seeds?|random_state)$", name.lower()))


def shifted(notebook, shift):
    """Move the seeds of a notebook's code, in place; exercises keep theirs."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and not {"exercise", "check"} & tags(cell):
            tree = Shift(shift).visit(ast.parse(cell.source))
            cell.source = ast.unparse(ast.fix_missing_locations(tree))


# --------------------------------------------------------------- comparing


def printed(cell):
    """All text of a cell's outputs, sanitized as nbval does."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type in ("execute_result", "display_data"):
            texts.append(output.data.get("text/plain", ""))
    text = "\n".join(texts)
    for regex, replace in SANITIZERS:
        text = re.sub(regex, replace, text)
    return text


def differences(notebook, committed, shift=0):
    """Cells that failed or, with the seeds as they are, print otherwise.

    Args:
        notebook: The executed notebook.
        committed: The notebook as it was before, with its outputs.
        shift: What was added to the seeds.

    Returns:
        List of sentences, one a cell.
    """
    found, number = [], 0
    for cell, before in zip(notebook.cells, committed.cells, strict=True):
        if cell.cell_type != "code":
            continue
        number += cell.execution_count is not None
        errors = [o for o in cell.outputs if o.output_type == "error"]
        if errors:
            lines = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(errors[0].traceback))
            at = re.search(r"^-+> *\d+ (.*)", lines, re.M)
            what = f"{errors[0].ename} {errors[0].evalue}".strip()[:120]
            found.append(f"cell {number}: {what} at `{at[1] if at else ''}`")
        elif (
            not shift
            and cell.execution_count is not None
            and "nbval-ignore-output" not in tags(cell)
            and not same_print(printed(cell), printed(before))
        ):
            found.append(f"cell {number} prints otherwise")
    return found


def run(stems, variant, jobs):
    """Execute chapters in one variant; yields each name with its findings."""
    runs, committed = [], {}
    for stem in stems:
        path = ROOT / "chapters" / f"{stem}.ipynb"
        committed[stem] = nbformat.read(path, 4)
        notebook = nbformat.read(path, 4)
        if variant.shift:
            shifted(notebook, variant.shift)
        runs.append(
            Sitting(
                stem,
                notebook,
                path.parent,
                dict(variant.environment),
                keep_going=True,
            )
        )
    for sitting in run_all(runs, jobs):
        if sitting.error is not None:
            yield sitting.name, [sitting.error]
            continue
        yield (
            sitting.name,
            differences(
                sitting.notebook, committed[sitting.name], variant.shift
            ),
        )


# ---------------------------------------------------------------- the page

OPENING = """\
# On another processor, with other seeds

Written by `make robust`; do not edit. Quick profile. "ok": every assert of the
chapter held and, where the seeds are the committed ones, every printed number
was the committed one, as far as `make test` asks (one unit of the last digit).
A number counts the cells that failed, listed below. "without AVX-512" limits
TensorFlow's products, NumPy and its BLAS to AVX2 on a processor that has more;
on one that has not, the run as committed fills both columns.
"seeds + 1" adds a thousand to every seed that the chapter names, "+ 2" two.
What is empty has not been run.
"""


def read_page():
    """Findings on the page: dict of (chapter, variant) to a list."""
    if not PAGE.exists():
        return {}
    found = {}
    names = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| chapter"):
            names = cells[1:]
        elif names and re.match(r"\| \d\d", line):
            for name, cell in zip(names, cells[1:], strict=True):
                if cell:
                    found[cells[0], name] = []
        elif line.startswith("- "):
            chapter, name, what = line[2:].split(" · ", 2)
            found[chapter, name].append(what)
    return found


def write_page(found):
    """Write the page from such a dict."""
    names = [variant.name for variant in VARIANTS]
    lines = [OPENING, f"| chapter | {' | '.join(names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for path in sources():
        cells = []
        for name in names:
            failures = found.get((path.stem, name))
            cells.append("" if failures is None else str(len(failures) or "ok"))
        lines.append(f"| {path.stem} | {' | '.join(cells)} |")
    lines.append("")
    for (chapter, name), failures in sorted(found.items()):
        lines += [f"- {chapter} · {name} · {what}" for what in failures]
    write_whole(PAGE, "\n".join(lines).rstrip() + "\n")


def columns(variant):
    """Names of the columns that a run fills."""
    names = [variant.name]
    if variant.name == "as committed" and not AVX512:
        names.append("without AVX-512")
    return names


def main():
    """Command line; the exit status is 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--only", default="", help="part of a variant's name")
    parser.add_argument("--jobs", type=int, default=room())
    options = parser.parse_args()
    stems = [path.stem for path in sources(options.pattern)]
    variants = [v for v in VARIANTS if options.only in v.name]
    if not stems or not variants:
        parser.error("no chapter or no variant has that in its name")
    failed = 0
    for variant in variants:
        print(variant.name, flush=True)
        stems = slowest_first(stems, "quick")
        for stem, failures in run(stems, variant, options.jobs):
            for what in failures:
                print(f"  {stem} · {what}", flush=True)
            failed += len(failures)
            filled = {(stem, name): failures for name in columns(variant)}
            write_page({**read_page(), **filled})
    print(f"\n{failed} cells failed. docs/robust.md")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
