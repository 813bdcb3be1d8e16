"""Make reveal.js decks of the chapters in ``build/slides``, one idea a slide.

    python tools/build_slides.py            all sittings
    python tools/build_slides.py 02         those whose name has 02
    python tools/build_slides.py --measure  also the height of every slide

Nothing is executed: figures and tables are those of ``chapters/``. By rule a
slide is the title, the list of what is shown, a heading with the first
sentence below it, a figure with the first sentences of its caption, a
displayed formula with the sentence before it, a table of results, the
summary, the titles of the exercises. All other prose becomes speaker notes
(key S). Two cell tags of the sources overrule this: ``slide`` puts what a
cell prints or says on a slide, ``no-slide`` keeps a cell off. A deck that
would have more than 40 slides loses formulas without a number first, then
headings of the third level; their text moves to the notes.

The decks ask no other host for anything: reveal.js comes with the package
sphinx-revealjs, MathJax with sphinx-mathjax-offline.
"""

import argparse
import dataclasses
import html
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import nbformat
from build_notebooks import EXERCISE
from nbconvert.filters import markdown2html
from sittings import ROOT, sources, tags

SLIDES = ROOT / "build" / "slides"
MOST = 40  # slides of a deck, an hour's worth
WIDTH, HEIGHT = 1280, 720
TALLEST = 700  # pixels of a slide's contents
ITEMS = 5  # of a list on one slide
LINES = 16  # of a printed table
SAID = 230  # letters of a sentence on a slide
DISPLAY = re.compile(r"\$\$.+?\$\$", re.S)
SPANS = re.compile(  # in which no sentence ends
    r"\$\$.+?\$\$|\$[^$]+\$|`[^`]+`|\b(?:et al|e\.g|i\.e|cf|vs|No)\.", re.S
)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
# what a deck that is too long loses first
RANKS = ("formula", "step", "equation", "table")
REVEAL = ("dist/reveal.js", "dist/reveal.css", "dist/reset.css")
PARTS = (*REVEAL, "dist/theme/white.css", "plugin/notes/notes.js")


@dataclasses.dataclass
class Slide:
    """One slide.

    Args:
        kind: ``"title"``, ``"section"``, ``"figure"``, …; :data:`RANKS`.
        title: Its heading, Markdown.
        body: What stands below, Markdown or HTML.
        notes: What the speaker reads, paragraphs of Markdown.
    """

    kind: str
    title: str
    body: str = ""
    notes: list = dataclasses.field(default_factory=list)


# ------------------------------------------------------------ the rule


def plain(text):
    """Markdown without links: a deck stands alone."""
    return LINK.sub(r"\1", text)


def sentences(text):
    """Sentences of a paragraph; mathematics and code are not cut."""
    kept = []

    def hide(found):
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    hidden = SPANS.sub(hide, " ".join(text.split()))
    parts = re.split(r"(?<=[.?!:])\s+(?=[\"“(*A-Z\x00\d])", hidden)
    return [
        re.sub(r"\x00(\d+)\x00", lambda found: kept[int(found[1])], part)
        for part in parts
        if part.strip()
    ]


def said(text, count=1):
    """The first sentences of a paragraph that fit on a slide."""
    chosen = ""
    for sentence in sentences(text)[:count]:
        longer = f"{chosen} {sentence}".strip()
        if chosen and len(longer) > SAID * count:
            break
        chosen = longer
    return re.sub(r"[:,;]$", ".", chosen)


def blocks(text):
    """Paragraphs, lists, tables, headings and formulas of a cell."""
    # a formula is a block of its own, wherever it stands
    text = DISPLAY.sub(lambda found: f"\n\n{found[0]}\n\n", text)
    text = re.sub(r"^(#+ .+)$", r"\n\n\1\n\n", text, flags=re.M)
    found = (part.strip() for part in re.split(r"\n\s*\n", text))
    return [part for part in found if re.search(r"\w", part)]


def bullets(block):
    """Items of a list; none if the block is no list."""
    if not re.match(r"[-*] |\d+\. ", block):
        return []
    parts = re.split(r"^(?:[-*]|\d+\.) ", block, flags=re.M)
    return [" ".join(part.split()) for part in parts if part.strip()]


class Deck:
    """Slides of one chapter, made by going through its cells."""

    def __init__(self, notebook):
        self.slides = []
        self.heading = ""
        self.before = ""  # the paragraph just read
        self.listing = False  # whether its list goes on a slide
        self.exercises = []
        cells = notebook.cells
        for index, cell in enumerate(cells):
            kinds = tags(cell)
            if "no-slide" in kinds:
                continue
            if cell.cell_type == "markdown":
                self.read(cell, kinds)
            elif "check" not in kinds and "exercise" not in kinds:
                self.show(cell, kinds, cells[index + 1 : index + 5])
        if self.exercises:
            self.list("exercises", "Exercises", self.exercises)

    def add(self, kind, title, body="", notes=()):
        """Append a slide."""
        notes = [note for note in notes if note]
        self.slides.append(Slide(kind, title, body, notes))

    def note(self, text):
        """Give the last slide more to say."""
        self.slides[-1].notes.append(text)

    def list(self, kind, title, items):
        """Items on one slide or on several of equal length."""
        pages = -(-len(items) // ITEMS)
        size = -(-len(items) // pages)
        for page in range(pages):
            shown = items[page * size : (page + 1) * size]
            short = [said(item, 2) for item in shown]
            body = "\n".join(f"- {item}" for item in short)
            notes = [i for i, s in zip(shown, short, strict=True) if i != s]
            self.add(kind, title, body, notes)

    def read(self, cell, kinds):
        """Turn a cell of text into slides and notes."""
        source = plain(cell.source)
        exercise = EXERCISE.search(source)
        if exercise:
            self.exercises.append(f"**{exercise[1]}** {exercise[2]}")
            return
        if "exercise" in kinds or source.startswith("**Figure"):
            return
        if "slide" in kinds:
            self.add("marked", self.heading, source)
            return
        for block in blocks(source):
            self.block(block)

    def block(self, block):
        """One paragraph, heading, list, table or formula."""
        level = len(re.match(r"#*", block)[0])
        items = bullets(block)
        if level:
            self.heading = block.lstrip("# ").strip()
            kind = {1: "title", 2: "section"}.get(level, "step")
            self.listing = self.heading.startswith("What we")
            self.before = ""
            if not re.match(r"Exercises|References", self.heading):
                self.add(kind, self.heading)
        elif block.startswith("$$"):
            kind = "equation" if "\\tag" in block else "formula"
            lead = sentences(self.before)[-2:]
            lead = lead if len(lead[-1:][0] if lead else "") < 30 else lead[1:]
            self.add(kind, self.heading, "\n\n".join([*lead, block]))
        elif block.startswith("**We will show"):
            self.listing = True
        elif items and self.listing:
            last = self.slides[-1]
            if last.kind == "section" and not last.body:  # an empty heading
                self.slides.pop()
            first = len(self.slides) == 1
            title = "We will show" if first else self.heading
            self.list("list", title, items)
            self.listing = False
        elif items or block.startswith(("|", "```", "<")):
            self.note(block)
        else:
            self.before = block
            last = self.slides[-1]
            if last.kind in ("title", "section", "step") and not last.body:
                last.body = said(block, 2)
                block = block if last.body != block else ""
            if block:
                self.note(block)

    def show(self, cell, kinds, below):
        """Figures and tables of a cell of code."""
        if not self.slides:
            return
        captions = [c.source for c in below if c.source.startswith("**Figure")]
        pictures = [
            output
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        ]
        for picture in pictures:
            caption = plain(captions[0]) if captions else ""
            first, *rest = blocks(caption) or [""]
            words = re.sub(r"^\*\*(Figure [^*]*?)\.?\*\*\s*", "", first)
            about = picture.metadata.get("image/png", {})
            png = "".join(picture.data["image/png"].split())
            alt = html.escape(about.get("alt", ""))
            image = f'<img src="data:image/png;base64,{png}" alt="{alt}">'
            body = f"{image}\n\n{said(words, 2)}"
            self.add("figure", self.heading, body, [first])
            # what the caption's cell goes on with, headings and all
            for block in rest:
                self.block(block)
        text = "".join(o.get("text", "") for o in cell.get("outputs", ()))
        table = re.search(r"\brecord\(", cell.source) or "slide" in kinds
        lines = text.rstrip().splitlines()
        if table and lines and not pictures:
            title, *lines = lines if len(lines) > 2 else ["", *lines]
            cut = [*lines[:LINES], "…"] if len(lines) > LINES else lines
            above = re.sub(r"[:,;]$", ".", title)  # whole: "digits: TPE wins"
            body = f"{above}\n\n<pre>{html.escape(chr(10).join(cut))}</pre>"
            kind = "marked" if "slide" in kinds else "table"
            self.add(kind, self.heading or "Results", body, [title])


def slides_of(notebook):
    """The slides of a chapter, at most :data:`MOST`."""
    slides = Deck(notebook).slides
    for kind in RANKS:
        for index in range(len(slides) - 1, 0, -1):
            if len(slides) > MOST and slides[index].kind == kind:
                gone = slides.pop(index)
                slides[index - 1].notes += [gone.body, *gone.notes]
    return slides


# ----------------------------------------------------------- the pages


def rendered(text):
    """Markdown as HTML."""
    return markdown2html(text) if text else ""


def section(slide):
    """One slide as HTML."""
    level = "h1" if slide.kind == "title" else "h2"
    # a heading's number is no list
    title = re.sub(r"^(\d+)\.", r"\1\\.", slide.title)
    title = rendered(title).replace("<p>", "").replace("</p>", "")
    notes = "".join(rendered(note) for note in slide.notes)
    long = max(map(len, slide.body.splitlines()), default=0)
    wide = ' class="wide"' if "<pre>" in slide.body and long > 80 else ""
    return (
        f'<section data-kind="{slide.kind}"{wide}><div class="idea">'
        f"<{level}>{title}</{level}>{rendered(slide.body)}</div>"
        f'<aside class="notes">{notes}</aside></section>'
    )


STYLE = """
.reveal { font-size: 30px; color: #222; }
.reveal .slides { text-align: left; }
.reveal .slides section { box-sizing: border-box; padding: 10px 40px; }
.reveal h1 { font-size: 58px; text-transform: none; text-wrap: balance; }
.reveal h2 { font-size: 40px; text-transform: none; text-wrap: balance; }
.reveal p, .reveal li { line-height: 1.35; margin: 0 0 .5em; }
.reveal ul { margin-left: 1em; }
.reveal img { display: block; margin: 0 auto .5em; max-height: 430px;
  max-width: 100%; width: auto; height: 430px; object-fit: contain; }
.reveal [data-kind=figure] h2 { font-size: 30px; }
.reveal [data-kind=figure] p { font-size: 25px; }
.reveal pre { font-size: 20px; line-height: 1.3; box-shadow: none;
  width: 100%; white-space: pre-wrap; }
.reveal .wide pre { font-size: 15px; }
.reveal mjx-container[display=true] { font-size: 34px; }
.reveal mjx-container[display=true] svg { max-width: 100%; max-height: 380px; }
.reveal code { font-size: .9em; }
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="reveal/dist/reset.css">
<link rel="stylesheet" href="reveal/dist/reveal.css">
<link rel="stylesheet" href="reveal/white.css">
<style>{style}</style>
<script>
MathJax = {{
  tex: {{inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]]}},
  options: {{enableMenu: false, skipHtmlTags: ["script", "pre", "code"]}},
  startup: {{pageReady: () => MathJax.startup.defaultPageReady().then(() => {{
    const formulas = "mjx-container[display=true]";
    for (const box of document.querySelectorAll(formulas)) {{
      const svg = box.querySelector("svg"), wide = svg.getAttribute("width");
      const ex = parseFloat(box.style.minWidth || svg.style.minWidth || wide);
      box.style.fontSize = Math.min(34, {width} * 0.9 / (ex * 0.53)) + "px";
    }}
    if (window.Reveal) Reveal.layout();
    document.documentElement.dataset.ready = "yes";
  }})}},
}};
</script>
<script src="mathjax/tex-svg.js" defer></script></head>
<body><div class="reveal"><div class="slides">
{sections}
</div></div>
<script src="reveal/dist/reveal.js"></script>
<script src="reveal/plugin/notes/notes.js"></script>
<script>
Reveal.initialize({{width: {width}, height: {height}, margin: 0.02,
  hash: true, slideNumber: "c/t", transition: "none", pdfMaxPagesPerSlide: 1,
  plugins: [RevealNotes]}});
</script></body></html>
"""


def page(slides):
    """A deck as one HTML page; figures are in it."""
    return PAGE.format(
        title=html.escape(re.sub(r"[*`$]", "", slides[0].title)),
        style=STYLE,
        sections="\n".join(map(section, slides)),
        width=WIDTH,
        height=HEIGHT,
    )


def _package(name):
    found = importlib.util.find_spec(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run `make slides`")
    return pathlib.Path(next(iter(found.submodule_search_locations)))


def copy_libraries(folder):
    """Put reveal.js and MathJax beside the decks, out of their packages."""
    reveal = _package("sphinx_revealjs") / "_static" / "revealjs"
    for part in PARTS:
        name = "white.css" if part.endswith("white.css") else part
        to = folder / "reveal" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        text = (reveal / part).read_text(encoding="utf-8")
        if part.endswith(".css"):  # the system's own fonts, from no host
            text = re.sub(r"@import[^;]*;", "", text)
        to.write_text(text, encoding="utf-8")
    mathjax = _package("sphinx-mathjax-offline") / "static" / "mathjax"
    to = folder / "mathjax"
    to.mkdir(exist_ok=True)
    shutil.copy(mathjax / "tex-svg.js", to)


def write_decks(pattern="", folder=SLIDES):
    """Write a page for each sitting and a list; number of slides by name."""
    folder.mkdir(parents=True, exist_ok=True)
    counts, rows = {}, []
    for path in sources(pattern):
        notebook = nbformat.read(ROOT / "chapters" / f"{path.stem}.ipynb", 4)
        slides = slides_of(notebook)
        counts[path.stem] = len(slides)
        (folder / f"{path.stem}.html").write_text(page(slides), "utf-8")
        title = rendered(slides[0].title)
        rows.append(
            f'<li><a href="{path.stem}.html">{title}</a> {len(slides)}</li>'
        )
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Slides'
        "</title><style>p { display: inline }</style><h1>Slides</h1>"
        "<p>Arrows go on, S opens the speaker's view, ?print-pdf in the "
        f"address prints.</p><ul>{''.join(rows)}</ul></html>",
        "utf-8",
    )
    copy_libraries(folder)
    return counts


# ------------------------------------------------------------- measure

MEASURE = """
<script>
addEventListener("load", async () => {
  while (document.documentElement.dataset.ready !== "yes")
    await new Promise(done => setTimeout(done, 50));
  const found = [];
  for (const s of document.querySelectorAll(".slides > section")) {
    s.style.cssText += "display:block!important;position:static;width:%dpx";
    await new Promise(done => setTimeout(done, 5));
    s.hidden = false;
    const box = s.querySelector(".idea");
    found.push([Math.ceil(box.getBoundingClientRect().height /
      Reveal.getScale()), box.scrollWidth > box.clientWidth + 2 ? 1 : 0,
      s.querySelectorAll("mjx-merror, [data-mjx-error]").length,
      s.querySelector("h1, h2").textContent]);
    s.style.display = "";
  }
  const hosts = performance.getEntriesByType("resource").map(e => e.name)
    .filter(name => !name.startsWith("file:") && !name.startsWith("data:"));
  const out = document.createElement("pre");
  out.id = "measured";
  out.textContent = JSON.stringify({slides: found, hosts});
  document.body.append(out);
});
</script></body>
"""


def browser():
    """The program of a Chromium browser, or ``None``."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def measure(path):
    """Height, too wide, errors and title of each slide; foreign requests."""
    copy = path.with_name(f"measured-{path.name}")
    text = path.read_text("utf-8").replace("</body>", MEASURE % WIDTH)
    copy.write_text(text, "utf-8")
    try:
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [
                    browser(),
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    f"--user-data-dir={home}",
                    f"--window-size={WIDTH},{HEIGHT}",
                    "--virtual-time-budget=60000",
                    "--dump-dom",
                    copy.as_uri(),
                ],
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=300,
            )
    finally:
        copy.unlink()
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.S)
    if not found:
        raise RuntimeError(f"{path.name} was not measured: {done.stderr}")
    return json.loads(html.unescape(found[1]))


def faults(path):
    """Messages about slides that do not fit and requests to other hosts."""
    measured = measure(path)
    messages = [f"asks {host}" for host in measured["hosts"]]
    for number, (height, wide, errors, title) in enumerate(
        measured["slides"], start=1
    ):
        if height > TALLEST:
            messages.append(f"slide {number}, {title}: {height} pixels tall")
        if wide:
            messages.append(f"slide {number}, {title}: too wide")
        if errors:
            messages.append(f"slide {number}, {title}: a formula fails")
    return messages


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    counts = write_decks(options.pattern)
    failed = False
    for name, count in counts.items():
        print(f"{name:<36}{count:>3} slides")
        if options.measure:
            for message in faults(SLIDES / f"{name}.html"):
                failed = True
                print(f"  {message}")
    print(f"{len(counts)} decks in {SLIDES}/index.html")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
