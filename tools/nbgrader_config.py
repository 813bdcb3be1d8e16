"""Settings of the nbgrader course that ``make assignments`` builds.

The classes are here because nbgrader reads this one file in each of
its processes, also when you call it yourself in ``build/course``.
"""

import csv
import html
import os
import re

import latex2mathml.converter
import nbformat
from nbconvert.exporters import HTMLExporter
from nbgrader.api import MissingEntry
from nbgrader.plugins.export import ExportPlugin
from nbgrader.plugins.zipcollect import FileNameCollectorPlugin
from nbgrader.preprocessors import NbGraderPreprocessor

SETTING_UP = 180  # seconds; the slowest set-up cell takes most of a minute
ANSWERING = 60  # seconds an answer or its check may take: what a loop costs
LETTERS = 20_000  # of what one output prints, the most that is kept

# how the file of a student is called once a system's archive is unpacked
HANDED_IN = (
    # Moodle: Ada Byron_1815_assignsubmission_file/02a_autoencoders.ipynb
    r".*_(?P<student_id>\w+)_assignsubmission_file_?/(?P<file_id>[^/]+)$",
    # Canvas: byronada_LATE_1815_90210_02a_autoencoders-1.ipynb
    r"(?:.*/)?[^/_]+_(?:LATE_)?(?P<student_id>\d+)_\d+_"
    r"(?P<file_id>[^/]+?)(?:-\d+)?\.ipynb$",
    # a folder for each student
    r".*/(?P<student_id>[^/]+)/(?P<file_id>[^/]+)$",
)

# code, which is left alone, and formulas, displayed or in a line
FORMULA = re.compile(
    r"```.*?```|`[^`]*`|\$\$(.+?)\$\$|(?<!\\)\$(?!\s)([^$`]+?)(?<!\s)\$", re.S
)
# what Markdown would read as a mark, in a table
LITERAL = {ord(mark): f"&#{ord(mark)};" for mark in "|*_`$[]~\\"}


class HandIns(FileNameCollectorPlugin):
    """Who handed in a file, from how Moodle, Canvas or a folder names it."""

    def _match(self, filename):
        path = filename.replace(os.sep, "/")
        found = (re.match(pattern, path) for pattern in HANDED_IN)
        return next((match.groupdict() for match in found if match), None)


class ShortOutputs(NbGraderPreprocessor):
    """Cut what an answer prints: nbgrader counts lines, not letters."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Shorten the streams and texts of one cell."""
        for output in cell.get("outputs", ()):
            if len(output.get("text", "")) > LETTERS:
                output.text = output.text[:LETTERS] + "\n… cut"
            for kind, text in output.get("data", {}).items():
                if kind.startswith("text/") and len(text) > LETTERS:
                    output.data[kind] = text[:LETTERS] + "\n… cut"
        return cell, resources


class SentencesFirst(NbGraderPreprocessor):
    """Put what checks and readers say at the top of a student's page."""

    def preprocess(self, nb, resources):
        """Add a table: exercise, points, the check's own sentence."""
        rows = ["| exercise&emsp; | points&emsp; | what is said of it |"]
        rows.append("|---|---|---|")
        for cell in nb.cells:
            about = cell.metadata.get("nbgrader", {})
            task = about.get("task", False)
            if about.get("grade") or task:
                number = about["grade_id"].partition("-")[2]
                name = number.replace("-", ".") + ", in words" * task
                points = f"{about['score']:g} of {about['points']:g}&emsp;"
                points = points.replace(" ", "&nbsp;")
                said = self._told(cell) if task else self._said(cell)
                rows.append(f"| {name}&emsp; | {points} | {said} |")
        nb.cells.insert(0, nbformat.v4.new_markdown_cell("\n".join(rows)))
        return nb, resources

    def _told(self, cell):
        comment = cell.metadata["nbgrader"]["comment"]
        return self._plain(comment or "A reader gives these points.")

    def _said(self, cell):
        texts = [
            output.get("evalue") or output.get("ename") or output.get("text")
            for output in cell.outputs
        ]
        return self._plain(" ".join(filter(None, texts)))

    def _plain(self, text):
        text = " ".join(text.split())
        text = text if len(text) <= 700 else f"{text[:700]}…"
        return html.escape(text).translate(LITERAL)


class Formulas(NbGraderPreprocessor):
    """Formulas in the browser's own language, MathML: no script needed."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Turn the formulas of a cell of text into MathML."""
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(self._set, cell.source)
        return cell, resources

    def _set(self, found):
        display, line = found.groups()
        if not display and not line:  # code
            return found[0]
        tex = " ".join((display or line).split())
        kind = "block" if display else "inline"
        try:
            formula = latex2mathml.converter.convert(tex, display=kind)
        except Exception:  # a student's own may be anything
            return found[0]
        # no marks for Markdown
        return formula.replace("*", "&#42;").replace("_", "&#95;")


class OfflinePage(HTMLExporter):
    """A page of feedback that loads nothing."""

    def from_notebook_node(self, nb, resources=None, **kw):
        """The page without nbconvert's scripts from another host."""
        page, resources = super().from_notebook_node(nb, resources, **kw)
        page = re.sub(r'<script src="https?://[^>]*>\s*</script>', "", page)
        return page, resources


class SystemExport(ExportPlugin):
    """Grades as Canvas imports them; Moodle reads the same file by "ID".

    A row a student, a column an assignment, a row of the points possible.
    """

    def export(self, gradebook):
        """Write ``lms.csv``, or the file that ``--to`` names."""
        tasks = gradebook.assignments
        head = ("Student", "ID", "SIS Login ID", "Section")
        most = ("Points Possible", "", "", "")
        with open(self.to or "lms.csv", "w", encoding="utf-8", newline="") as f:
            writer = csv.writer(f)
            writer.writerow([*head, *(task.name for task in tasks)])
            writer.writerow([*most, *(task.max_score for task in tasks)])
            for student in gradebook.students:
                names = filter(None, (student.last_name, student.first_name))
                who = ", ".join(names) or student.id
                scores = [self._score(gradebook, t, student) for t in tasks]
                writer.writerow([who, student.id, student.id, "", *scores])

    def _score(self, gradebook, task, student):
        try:
            return gradebook.find_submission(task.name, student.id).score
        except MissingEntry:
            return ""


def timeout(cell):
    """Seconds that a cell may take when it is graded."""
    about = cell.metadata.get("nbgrader", {})
    theirs = about.get("solution") or about.get("grade") or not about
    return ANSWERING if theirs else SETTING_UP


c = get_config()  # noqa: F821 (nbgrader's own)

c.CourseDirectory.course_id = "deep-unsupervised-learning"
# in place of a solution; a check that meets it says that it waits
stub = "# your answer here\nraise NotImplementedError"
c.ClearSolutions.code_stub = {"python": stub}
c.ExecutePreprocessor.timeout_func = timeout  # nbgrader's default is 30 s
c.ExecutePreprocessor.interrupt_on_timeout = True
c.Autograde.autograde_preprocessors.insert(2, ShortOutputs)
c.GenerateFeedback.preprocessors.insert(1, SentencesFirst)
c.GenerateFeedback.preprocessors.append(Formulas)
c.GenerateFeedback.exporter_class = OfflinePage
c.OverwriteCells.add_missing_cells = True  # a check that was deleted
c.ZipCollectApp.collector_plugin = HandIns
c.Course.export_plugin = SystemExport  # what tools/grade.py writes beside
c.Exporter.optimized_images = False

# one thread a kernel: several students are graded at a time
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
for name in (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(name, "1")
