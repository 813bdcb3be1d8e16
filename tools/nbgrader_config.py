"""Settings of the nbgrader course that ``make assignments`` builds."""

import os

c = get_config()  # noqa: F821 (nbgrader's own)

c.CourseDirectory.course_id = "deep-unsupervised-learning"
# in place of a solution; a check that meets it says that it waits
stub = "# your answer here\nraise NotImplementedError"
c.ClearSolutions.code_stub = {"python": stub}
# the slowest set-up cell takes most of a minute on a laptop; the default is 30
c.ExecutePreprocessor.timeout = 180
c.ExecutePreprocessor.interrupt_on_timeout = True
c.Exporter.optimized_images = False

# one thread a kernel: several students are graded at a time
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
for name in (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(name, "1")
