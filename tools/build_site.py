"""Make the course's web site in ``build/site`` from what is committed.

    python tools/build_site.py             stage, then run Sphinx on it
    python tools/build_site.py --stage     stage alone, in build/site-source
    python tools/build_site.py --messages  what a translator needs, in
                                           build/messages: one .pot a page

Nothing is executed: the pages are the executed notebooks. Staging folds
set-up cells, puts each exercise in a box with its answer folded away below its
check, and turns links between files into links between pages.
"""

import argparse
import copy
import html
import html.parser
import os
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys
import urllib.parse

import nbformat
from build_notebooks import BEGIN, END, EXERCISE, REPOSITORY
from sittings import ROOT, sources, tags

STAGED = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
MESSAGES = ROOT / "build" / "messages"
# where files stand that are no pages: links and buttons come from it alone; the
# host that publishes the site sets the variable
if "GITHUB_REPOSITORY" in os.environ:
    REPOSITORY = f"https://github.com/{os.environ['GITHUB_REPOSITORY']}"
BRANCH = "main"
PAGES = (
    "applications",
    "benchmarks",
    "errata",
    "mnist_bound",
    "mutation",
    "results",
    "robust",
    "scaling",
    "teaching",
    "upstream",
    "where_time_goes",
)
ROOMS = {
    "runtime": ["runtime"],
    "plotting and metrics": ["plotting", "metrics"],
    "data": None,
    "nn": None,
    "models": None,
    "training": None,
    "baselines": None,
    "evaluation": None,
    "support": None,
    "checks": None,
}
# the topic of each chapter number, and its picture on the home page
TOPICS = {
    "01": ("Concepts", "clusters.png", "What can be learned without labels."),
    "02": ("Autoencoders", "reconstructions.png", "Codes, and what they keep."),
    "03": ("GANs", "gan_ring.png", "Two networks, one game."),
    "04": ("VAEs", "vae_map.png", "A bound, and a model of it."),
    "05": ("Pretraining", "pretraining_labels.png", "What a label is worth."),
    "06": ("Applications", "anomalies.png", "Each use, and its opponent."),
    "07": (
        "After the articles",
        "noise_walks.png",
        "Exact odds; data from noise.",
    ),
    "08": (
        "What the articles leave open",
        "attacks.png",
        "Each challenge, as a number.",
    ),
}
# what the playground shows of a sitting: its state in the address, in words
PLAYS = {
    "02a": ("width?k=2", "PCA beside an autoencoder, from 1 number to 32"),
    "03a": ("game?rule=turn&moves=120", "the game that circles"),
    "04a": ("map?z=0.4,0.5", "a map of codes: drag a point, it is decoded"),
    "04b": ("walk?beta=2&unit=7", "a unit of the code that fell silent"),
    "04c": ("label?z=1.2,-1", "ten digits to order from one noise"),
    "06a": ("draw?", "draw a digit, and see whether it raises an alarm"),
    "07c": ("flow?steps=1", "one step from noise ends at a mean"),
    "07d": ("flow?guidance=4", "four times the guidance"),
}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.S)
EMPTY_HEAD = re.compile(r"^\| +\| +\|\n(?=\|-)", re.M)
# an entry of FontAwesome's script: name, size, other names, letter, outline
ICON = re.compile(
    r'"?([a-z0-9-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",'
    r'(?:"[^"]*"|\[[^\]]*\])\],?'
)
# of MathJax, what equations written in TeX never ask for
UNUSED = ("*-full*", "mml-*", "tex-mml-*", "tex-svg*", "sre", "adaptors")


# ------------------------------------------------------------------- links


def page_link(target, folder):
    """A link from a file in ``folder`` as the site's pages need it.

    Chapters and documents are pages; a solutions notebook is the exercises
    of its chapter; everything else is a file of the repository.
    """
    if re.match(r"[a-z]+:|#", target):
        return target
    path, _, anchor = target.partition("#")
    at = posixpath.normpath(posixpath.join(folder, path))
    up = "../" * len([part for part in folder.split("/") if part])
    if at.startswith("solutions/"):
        return f"{up}chapters/{posixpath.basename(at)}#exercises"
    name = pathlib.PurePosixPath(at)
    is_page = at.startswith("chapters/") and name.suffix == ".ipynb"
    is_page |= str(name.parent) == "docs" and name.stem in PAGES
    is_page |= at.startswith("docs/images/")
    if is_page:
        return f"{up}{at}" + (f"#{anchor}" if anchor else "")
    kind = "blob" if name.suffix else "tree"
    return f"{REPOSITORY}/{kind}/{BRANCH}/{at}"


def with_page_links(text, folder):
    """Markdown with every link turned, code left alone."""
    parts = re.split(r"(```.*?```|`[^`\n]+`)", text, flags=re.S)
    for index in range(0, len(parts), 2):
        parts[index] = LINK.sub(
            lambda m: m[1] + page_link(m[2], folder) + m[3], parts[index]
        )
    return "".join(parts)


def with_tagged_equations(text):
    r"""Equations with a ``\tag`` as Sphinx shows them without an error.

    It wraps what has ``\\`` in ``split``, where no tag may stand.
    """

    def environment(match):
        if r"\tag" not in match[1]:
            return match[0]
        return f"\\begin{{gather*}}{match[1]}\\end{{gather*}}"

    return DISPLAY.sub(environment, text)


def with_table_heads(text):
    """Tables whose head is empty get one: a screen reader reads it out."""
    return EMPTY_HEAD.sub("| at a glance | this sitting |\n", text)


def prose(text, folder):
    """A markdown cell or file, ready for the site."""
    text = with_tagged_equations(with_page_links(text, folder))
    return with_table_heads(text)


# ---------------------------------------------------------------- chapters


def answers(solutions):
    """Of a solutions notebook: exercise number → its code and discussion."""
    found, number = {}, None
    for cell in solutions.cells:
        heading = EXERCISE.search(cell.source)
        if heading and cell.cell_type == "markdown":
            number = heading[1]
            found[number] = []
        elif number and tags(cell) & {"exercise", "discussion"}:
            source = cell.source
            if cell.cell_type == "code":
                kept = [
                    line
                    for line in source.splitlines()
                    if line.strip() not in (BEGIN, END)
                ]
                source = "```python\n" + "\n".join(kept) + "\n```"
            found[number].append(source)
    return {number: "\n\n".join(parts) for number, parts in found.items()}


def folded(text):
    """An answer behind one click."""
    return f"::::{{dropdown}} An answer\n:icon: light-bulb\n\n{text}\n\n::::"


def boxed(text):
    """The statement of an exercise in a box that can be linked to."""
    number, title = EXERCISE.search(text).groups()
    body = EXERCISE.sub("", text, count=1).strip()
    label = f"exercise-{number.replace('.', '-')}"
    return (
        f"({label})=\n::::{{admonition}} Exercise {number} · {title}\n"
        f":class: exercise\n\n{body}\n\n::::"
    )


def invitation(stem):
    """What to play with beside a sitting, as a cell; ``None`` if nothing."""
    if stem[:3] not in PLAYS:
        return None
    state, words = PLAYS[stem[:3]]
    link = f'<a href="../playground.html#{html.escape(state)}">{words}</a>'
    text = f":::{{seealso}}\nIn the playground: {link}.\n:::"
    return nbformat.v4.new_markdown_cell(text)


def is_widget(output):
    """Whether an output is a slider or the like, for a running notebook."""
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def staged_chapter(chapter, solutions, stem=""):
    """A chapter as a page: folded set-up, boxed exercises, answers.

    Without the state of its sliders, which move in a running notebook alone:
    to show them a page would ask another host for a program.
    """
    page = copy.deepcopy(chapter)
    page.metadata.pop("widgets", None)
    answer_of = answers(solutions)
    cells, number = [], None
    for cell in page.cells:
        kinds = tags(cell)
        if "colab" in kinds:  # for those who run it, not for those who read
            continue
        cells.append(cell)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not is_widget(o)]
        if cell.cell_type == "markdown":
            heading = EXERCISE.search(cell.source)
            if heading and "exercise" in kinds:
                number = heading[1]
                cell.source = boxed(cell.source)
            cell.source = prose(cell.source, "chapters")
        elif "setup" in kinds:
            cell.metadata["tags"] = sorted(kinds | {"hide-input"})
        elif "check" in kinds and number in answer_of:
            text = folded(prose(answer_of.pop(number), "chapters"))
            cells.append(nbformat.v4.new_markdown_cell(text))
    if answer_of:
        raise ValueError(f"answers without an exercise: {sorted(answer_of)}")
    invited = invitation(stem)
    page.cells = cells[:1] + [invited] * bool(invited) + cells[1:]
    return page


# --------------------------------------------------------------------- API


def api_page(room, modules):
    """One page of the API: each public module of a room."""
    lines = [f"# {room}", ""]
    for module in modules:
        lines += [
            f"## {module.removeprefix('utils.')}",
            "",
            f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```",
            "",
        ]
    return "\n".join(lines)


def modules_of(room, names):
    """Public modules of a room, by their full names."""
    if names:
        return [f"utils.{name}" for name in names]
    files = sorted((ROOT / "utils" / room).glob("[!_]*.py"))
    return [f"utils.{room}.{file.stem}" for file in files]


# --------------------------------------------------------------- home page


def cards(stems):
    """A card a chapter number: picture, topic, its first sitting."""
    lines = []
    for number, (topic, picture, words) in TOPICS.items():
        first = next(stem for stem in stems if stem.startswith(number))
        lines += [
            f":::{{grid-item-card}} {number} · {topic}",
            f":img-top: docs/images/{picture}",
            f":img-alt: A figure of chapter {number}, {topic.lower()}",
            f":link: chapters/{first}",
            ":link-type: doc",
            "",
            words,
            ":::",
            "",
        ]
    return "\n".join(lines)


def toctrees(stems):
    """The sittings of each chapter number, for the side of every page."""
    lines = []
    for number, (topic, *_) in TOPICS.items():
        lines += ["```{toctree}", ":hidden:", f":caption: {topic}", ""]
        lines += [f"chapters/{s}" for s in stems if s.startswith(number)]
        lines += ["```", ""]
    return "\n".join(lines)


def chapter_table():
    """README's table of the sittings."""
    readme = (ROOT / "README.md").read_text("utf-8")
    table = re.search(r"^\| chapter \|.*?(?=\n\n)", readme, re.M | re.S)
    return with_page_links(table[0], "")


def at_a_glance(path, row):
    """A cell of the table that a sitting opens with, such as its time."""
    text = path.read_text("utf-8")
    return re.search(rf"^# \| {row} \| (.+) \|$", text, re.M)[1]


def short_name(stem):
    """What a sitting is called for short: ``07c_…`` → ``7c``."""
    return stem.partition("_")[0].lstrip("0")


def map_of_sittings():
    """Every sitting: which others it needs, and how long it takes."""
    lines = ["| sitting | needs | time |", "|---|---|---|"]
    for path in sources():
        needs = re.findall(
            r"\((\w+)\.ipynb", at_a_glance(path, "Prerequisites")
        )
        links = [
            f"[{short_name(stem)}](chapters/{stem}.ipynb)"
            for stem in [path.stem, *dict.fromkeys(needs)]
        ]
        time = at_a_glance(path, "Time")
        lines.append(f"| {links[0]} | {', '.join(links[1:]) or '–'} | {time} |")
    return "\n".join(lines)


def home(text):
    """The home page, its parts filled in."""
    stems = [path.stem for path in sources()]
    parts = {
        "cards": cards(stems),
        "chapters": chapter_table(),
        "map": map_of_sittings(),
        "toctrees": toctrees(stems),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


# ------------------------------------------------------------------- stage


def stage(folder=STAGED):
    """Write everything that Sphinx reads; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "site", folder)
    index = folder / "index.md"
    index.write_text(home(index.read_text("utf-8")), "utf-8")
    (folder / "chapters").mkdir()
    for path in sources():
        name = f"{path.stem}.ipynb"
        page = staged_chapter(
            nbformat.read(ROOT / "chapters" / name, 4),
            nbformat.read(ROOT / "solutions" / name, 4),
            path.stem,
        )
        nbformat.write(page, folder / "chapters" / name)
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    for stem in PAGES:
        text = (ROOT / "docs" / f"{stem}.md").read_text("utf-8")
        text = prose(text, "docs")
        (folder / "docs" / f"{stem}.md").write_text(text, "utf-8")
    (folder / "api").mkdir()
    for room, names in ROOMS.items():
        text = api_page(room, modules_of(room, names))
        at = folder / "api" / f"{room.split()[0]}.md"
        at.write_text(text, "utf-8")
    return folder


# ------------------------------------------------------------------- check


class _Ends(html.parser.HTMLParser):
    """Where a page's links lead, which anchors it has, what it loads."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors, self.foreign = [], {"", "top"}, []

    def handle_starttag(self, tag, attrs):
        source = dict(attrs).get("href" if tag == "link" else "src") or ""
        stays = dict(attrs).get("rel") in ("canonical", "search", "author")
        if tag != "a" and urllib.parse.urlsplit(source).netloc and not stays:
            self.foreign.append(source)
        for name, value in attrs:
            if name in ("id", "name"):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken_links(folder):
    """Links within a built site that lead nowhere, as messages.

    Returns:
        ``(messages, count)``: of ``count`` links within the site those that
        name a file or an anchor that is not there, then what a page would
        load from another host.
    """
    ends = {}
    for path in folder.rglob("*.html"):
        ends[path] = _Ends()
        ends[path].feed(path.read_text("utf-8"))
    messages, count = [], 0
    for path, page in ends.items():
        messages += [
            f"{path.relative_to(folder)} loads {source}"
            for source in page.foreign
        ]
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            name = urllib.parse.unquote(parts.path)
            target = (path.parent / name).resolve() if name else path
            anchor = urllib.parse.unquote(parts.fragment)
            anchor = anchor.partition("?")[0]  # the rest is a widget's state
            known = ends[target].anchors if target in ends else {anchor}
            if not target.exists() or anchor not in known:
                messages.append(f"{path.relative_to(folder)}: {link}")
    return messages, count


def mended(page):
    """HTML of a page without what axe-core finds wrong with the theme's.

    A label that does not say what is written on its element, a side bar that
    is no landmark, heads of tables that are empty.
    """
    head = r'<th class="head([^"]*)"><p>'
    page = re.sub(head + r"</p></th>", r'<td class="head\1"><p></p></td>', page)
    page = re.sub(r'<summary aria-label="[^"]*">', "<summary>", page)
    page = re.sub(
        r'(<button class="[^"]*search-button-field[^>]*?) aria-label="Search"',
        r"\1",
        page,
    )
    side = '<div id="pst-primary-sidebar"'
    named = f'{side} role="region" aria-label="The course"'
    return page.replace(side, named)


def with_used_icons(script, used):
    """FontAwesome's script with the icons alone that are used by name."""

    def kept(match):
        names = {match[1], *re.findall(r'"([a-z0-9-]+)"', match[2])}
        return match[0] if names & used else ""

    return ICON.sub(kept, script)


def finish(site):
    """Downloads are the chapters themselves; unused files and icons go."""
    for path in (ROOT / "chapters").glob("*.ipynb"):
        shutil.copy(path, site / "_sources" / "chapters" / path.name)
    mathjax = site / "_static" / "mathjax"
    unused = [path for name in UNUSED for path in mathjax.glob(name)]
    unused += [*site.rglob("*.map"), *site.glob("_static/*macros.html")]
    for path in [site / ".doctrees", *unused]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in site.rglob("*.html"):
        path.write_text(mended(path.read_text("utf-8")), "utf-8")
    icons = site / "_static" / "scripts" / "fontawesome.js"
    others = [*site.rglob("*.html"), *site.glob("_static/**/*.js")]
    text = "".join(p.read_text("utf-8") for p in others if p != icons)
    used = set(re.findall(r"fa-([a-z0-9-]+)", text))
    trimmed = with_used_icons(icons.read_text("utf-8"), used)
    icons.write_text(trimmed, "utf-8")


def sphinx(builder, source, target):
    """Run Sphinx with warnings as errors; its exit status."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    return subprocess.run([*command, "-b", builder, source, target]).returncode


def pages_without_messages(staged, messages):
    """Names of the staged pages of which no message was extracted."""
    pages = [*staged.rglob("*.md"), *staged.rglob("*.ipynb")]
    names = sorted(p.relative_to(staged).with_suffix("") for p in pages)
    found = {
        path.relative_to(messages).with_suffix("")
        for path in messages.rglob("*.pot")
        if path.read_text("utf-8").count("msgid ") > 1  # one heads the file
    }
    return [name.as_posix() for name in names if name not in found]


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stage", action="store_true")
    parser.add_argument("--messages", action="store_true")
    options = parser.parse_args()
    stage()
    if options.stage:
        return 0
    if options.messages:
        failed = sphinx("gettext", STAGED, MESSAGES)
        silent = pages_without_messages(STAGED, MESSAGES)
        for page in silent:
            print(f"no message of {page}")
        return failed or int(bool(silent))
    failed = sphinx("html", STAGED, SITE)
    if failed:
        return failed
    finish(SITE)
    messages, count = broken_links(SITE)
    size = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file())
    print(*messages, sep="\n", end="\n" * bool(messages))
    print(f"{count} links within the site, {len(messages)} broken")
    print(f"{size / 1e6:.0f} MB: open {SITE / 'index.html'}")
    return int(bool(messages))


if __name__ == "__main__":
    sys.exit(main())
