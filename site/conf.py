"""Sphinx's settings for the course's site; see tools/build_site.py."""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from build_site import BRANCH, REPOSITORY  # noqa: E402

project = "Deep unsupervised learning with Keras 3"
author = "The authors of the deep unsupervised learning course"
copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
gettext_compact = False

# notebooks as they were executed
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# docstrings
napoleon_custom_sections = [
    ("Call", "notes_style"),
    ("Loss", "notes_style"),
    ("Input shape", "notes_style"),
    ("Output shape", "notes_style"),
    ("Call arguments", "params_style"),
]
napoleon_use_ivar = True
autodoc_default_options = {"show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Keras's are Markdown

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_copy_source = True
html_show_sourcelink = False
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": BRANCH,
    "path_to_docs": "",
    "use_repository_button": True,
    "use_download_button": True,
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    },
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search field stands at the side
}
mathjax3_config = {"chtml": {"scale": 0.95}}


def bars_as_they_are(app, what, name, obj, options, lines):
    """Let |x| mean a size: reST would look for a substitution x."""
    for index, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[index] = "".join(parts)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", bars_as_they_are)
