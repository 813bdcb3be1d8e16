"""Turn ``source/NN_name.py`` into a chapter and a solutions notebook.

    python tools/build_notebooks.py            build and execute everything
    python tools/build_notebooks.py 02         only sources whose name has 02
    python tools/build_notebooks.py --check    compare, execute nothing
    python tools/build_notebooks.py --text     only text changed: keep outputs
    python tools/build_notebooks.py --jobs 1   one after the other

A source is jupytext py:percent. Cell tags decide where a cell goes:

=================  =======  =========  ====================================
tag                chapter  solutions  meaning
=================  =======  =========  ====================================
(none)             yes      no         text and code of the chapter
``setup``          yes      yes        imports, parameters, data
``exercise``       stub     answer     statement, stub with its answer
``check``          yes      yes        one call of ``check_N_M``
``discussion``     no       yes        why the answer is right
``hide-input``     yes      as above   code folded, one click opens it
``gallery-NAME``   yes      no         picture for docs/images (full profile)
``slide``          yes      as above   on a slide of its own (build_slides.py)
``no-slide``       yes      as above   neither on a slide nor in its notes
=================  =======  =========  ====================================

In the chapter the code of ``exercise`` and ``check`` cells is neither run
nor compared; in the solutions it is both. In JupyterLab *Run All* goes on
after a check that still waits (``raises-exception``). nbval's own tags, such
as ``nbval-ignore-output``, are kept. Both notebooks get a first cell that
fetches the course's package where a notebook is opened alone, in Colab. What a
chapter records goes to docs/results.md: page and outputs come from one run.
"""

import argparse
import ast
import base64
import copy
import re
import sys
import tomllib

import jupytext
import nbformat
import results_page
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions
from sittings import ROOT, SKIP, Sitting, room, run_all, sources, tags

from utils.support.files import write_whole

KINDS = ("chapters", "solutions")
WAITS = "# your answer here"
LONGEST = 400  # letters of an alternative text
SENTENCE_END = re.compile(
    r"(?<!\bal)(?<!\b[A-Za-z])\. "
)  # not "et al. ", "e.g. "
CAPTION = re.compile(r"^(\*\*Figure.*?)(?=\n\n|\n\*\*Figure|\Z)", re.M | re.S)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
# an exercise's heading: its number, its title
EXERCISE = re.compile(r"^### Exercise (\S+)(?: \(\w+\))? · (.+)$", re.M)
STUB = f"{WAITS}\nraise NotImplementedError"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REPOSITORY = SETTINGS["project"]["urls"]["Repository"]
# what a sitting imports beyond the package's own needs
EXTRAS = {"08a": "[search]", "08c": "[onnx]"}
FETCH = """\
# In Colab this fetches the course's package; elsewhere it does nothing.
import subprocess
import sys

COURSE = (
    "deep-unsupervised-course{extras}"
    " @ {repository}/archive/main.zip"
)
if "google.colab" in sys.modules:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", COURSE],
        check=True,
    )"""


def _clean(cells):
    """A notebook of these cells with stable ids and minimal metadata."""
    notebook = nbformat.v4.new_notebook(cells=[copy.deepcopy(c) for c in cells])
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:03d}"
        kept = sorted(tags(cell))
        metadata = {"tags": kept} if kept else {}
        if "hide-input" in kept:  # JupyterLab's own word for it
            metadata["jupyter"] = {"source_hidden": True}
        cell.metadata = nbformat.from_dict(metadata)
    return notebook


def make_chapter(cells):
    """The chapter: answers cut out, exercises left alone by the runners."""
    chapter = _clean([c for c in cells if "discussion" not in tags(c)])
    stub = ClearSolutions(code_stub={"python": STUB}, enforce_metadata=False)
    chapter, _ = stub.preprocess(chapter, {})
    hidden = ClearHiddenTests(enforce_metadata=False)
    chapter, _ = hidden.preprocess(chapter, {})
    for cell in chapter.cells:
        if cell.cell_type == "code" and tags(cell) & {"exercise", "check"}:
            more = {"nbval-skip", SKIP}
            if "check" in tags(cell):
                more.add("raises-exception")
            cell.metadata["tags"] = sorted(tags(cell) | more)
            # outside a function the name is None already, and that waits
            cell.source = cell.source.replace(f"\n{STUB}", f"\n{WAITS}")
    chapter.metadata.pop("celltoolbar", None)
    return chapter


def make_solutions(cells, stem):
    """The solutions: set-up cells, then each exercise with its answer."""
    heading = next(
        line.lstrip("# ").strip()
        for cell in cells
        for line in cell.source.splitlines()
        if line.startswith("# ")
    )
    title = nbformat.v4.new_markdown_cell(
        f"# Solutions · {heading}\n\n"
        f"Each exercise of [the chapter](../chapters/{stem}.ipynb) with one "
        "answer and its check. Other answers pass too: the checks look at "
        "what an answer does, not at how it is written. Try first, then read."
    )
    wanted = {"setup", "exercise", "check", "discussion"}
    return _clean([title, *(c for c in cells if tags(c) & wanted)])


def fetches_the_package(notebook, stem):
    """The notebook with a cell for Colab before its first cell of code."""
    cell = nbformat.v4.new_code_cell(
        FETCH.format(
            extras=EXTRAS.get(stem.split("_")[0], ""), repository=REPOSITORY
        ),
        id="colab",
        metadata={
            "tags": sorted({"colab", "hide-input", "nbval-skip", SKIP}),
            "jupyter": {"source_hidden": True},
        },
    )
    kinds = [cell.cell_type for cell in notebook.cells]
    notebook.cells.insert(kinds.index("code"), cell)
    return notebook


def build(path):
    """Both notebooks of one source, not executed: a dict by folder."""
    cells = jupytext.read(path).cells
    fresh = {
        "chapters": make_chapter(cells),
        "solutions": make_solutions(cells, path.stem),
    }
    return {
        kind: fetches_the_package(notebook, path.stem)
        for kind, notebook in fresh.items()
    }


def keep_outputs(old, new):
    """Give ``new`` the outputs of ``old``, whose code must be the same.

    Raises:
        ValueError: A cell that runs has changed: it has to run again.
    """

    def executed(notebook):
        cells = [c for c in notebook.cells if c.cell_type == "code"]
        return [cell for cell in cells if SKIP not in tags(cell)]

    before, after = executed(old), executed(new)
    if [c.source for c in before] != [c.source for c in after]:
        raise ValueError("its code has changed: build it without --text")
    for was, cell in zip(before, after, strict=True):
        cell.outputs, cell.execution_count = was.outputs, was.execution_count
        if "execution" in was.metadata:
            cell.metadata["execution"] = was.metadata["execution"]
    if "widgets" in old.metadata:  # what a slider shows without a kernel
        new.metadata["widgets"] = old.metadata["widgets"]


def rewrite_text(path):
    """Both notebooks of a source anew, with the outputs that they have."""
    for kind, fresh in build(path).items():
        target = ROOT / kind / f"{path.stem}.ipynb"
        try:
            keep_outputs(nbformat.read(target, 4), fresh)
        except (OSError, ValueError) as error:
            yield f"{kind}/{target.name}: {error}"
        else:
            write(fresh, target)


def count_asserts(notebook):
    """Number of ``assert`` statements in the cells that run."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and SKIP not in tags(cell):
            nodes = ast.walk(ast.parse(cell.source))
            count += sum(isinstance(node, ast.Assert) for node in nodes)
    return count


def in_words(caption):
    """The caption of a figure as plain words, for those who do not see it."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", caption)
    text = re.sub(r"[*`$]", "", text)
    text = re.sub(r"\\(?:mathcal|mathrm|text|boldsymbol)\b", "", text)
    text = re.sub(r"[{}]", "", text).replace("\\", "")
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    ends = [m.start() + 1 for m in SENTENCE_END.finditer(text, 0, LONGEST)]
    return text[: ends[-1]] if ends else text[: LONGEST - 1] + "…"


def describe_figures(notebook):
    """Give each picture the caption below it as its alternative text.

    A caption is what a line that begins with ``**Figure`` starts, in a
    markdown cell at most four cells below, up to the next caption or empty
    line. Pictures above several captions get them in order. nbconvert reads
    the text in the output's metadata, myst-nb in the cell's. Returns the
    indices of cells without a caption.
    """
    cells, pictured = notebook.cells, {}  # cells of pictures by their captions
    without = []
    for index, cell in enumerate(cells):
        if any(
            "image/png" in o.get("data", {}) for o in cell.get("outputs", ())
        ):
            below = range(index + 1, min(index + 5, len(cells)))
            captions = [
                tuple(CAPTION.findall(cells[i].source))
                for i in below
                if cells[i].cell_type == "markdown"
            ]
            where = next((found for found in captions if found), None)
            if where is None:
                without.append(index)
            else:
                pictured.setdefault(where, []).append(cell)
    for captions, above in pictured.items():
        for k, cell in enumerate(above):
            words = in_words(captions[min(k, len(captions) - 1)])
            cell.metadata["mystnb"] = {"image": {"alt": words}}
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    known = output.metadata.get("image/png", {})
                    output.metadata["image/png"] = {**known, "alt": words}
    return without


def write(notebook, path):
    """Write a notebook whole or not at all, its figures described."""
    describe_figures(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, nbformat.writes(notebook) + "\n")


def save_gallery(notebook, folder):
    """Save the picture of each cell tagged ``gallery-NAME`` as NAME.png."""
    for cell in notebook.cells:
        for tag in tags(cell):
            if tag.startswith("gallery-"):
                pictures = [
                    output.data["image/png"]
                    for output in cell.outputs
                    if "image/png" in output.get("data", {})
                ]
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / f"{tag.removeprefix('gallery-')}.png"
                write_whole(path, base64.b64decode(pictures[0]))


def without_outputs(notebook):
    """What must agree between a committed notebook and its source."""
    cells = [
        (c.id, c.cell_type, c.source, sorted(tags(c))) for c in notebook.cells
    ]
    return cells, dict(notebook.metadata.get("kernelspec", {}))


def drifted(path):
    """Messages about committed notebooks that do not match their source."""
    messages = []
    for kind, fresh in build(path).items():
        target = ROOT / kind / f"{path.stem}.ipynb"
        if not target.exists():
            messages.append(f"{kind}/{target.name} is missing")
        elif without_outputs(nbformat.read(target, 4)) != without_outputs(
            fresh
        ):
            messages.append(
                f"{kind}/{target.name} differs from source/{path.name}"
            )
    return messages


def orphans():
    """Messages about notebooks that no source explains."""
    stems = {path.stem for path in sources()}
    return [
        f"{kind}/{path.name} has no source"
        for kind in KINDS
        for path in sorted((ROOT / kind).glob("*.ipynb"))
        if path.stem not in stems
    ]


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--jobs", type=int, default=room())
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8
    paths = sources(options.pattern)
    if options.check:
        messages = [m for path in paths for m in drifted(path)] + orphans()
        for message in messages:
            print(f"{message}: run `make notebooks`")
        return int(bool(messages))
    if options.text:
        messages = [m for path in paths for m in rewrite_text(path)]
        for message in messages:
            print(message)
        return int(bool(messages))
    sittings = [
        Sitting(
            f"{kind}/{path.stem}",
            notebook,
            ROOT / kind,
            results_page.environment_for(path.stem, "quick")
            if kind == "chapters"
            else {"COURSE_PROFILE": "quick"},
        )
        for path in paths
        for kind, notebook in build(path).items()
    ]
    failed = []
    for sitting in run_all(sittings, options.jobs):
        if sitting.error is None:
            write(sitting.notebook, ROOT / f"{sitting.name}.ipynb")
            kind, stem = sitting.name.split("/")
            if kind == "chapters":
                tables = results_page.read_tables(sitting.environment)
                results_page.write("quick", stem, sitting.seconds, tables)
        else:
            failed.append(sitting)
    for sitting in failed:
        print(f"\n{sitting.name} failed {sitting.error}\n{sitting.details}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
