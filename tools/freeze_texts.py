"""Write the frozen texts of ``utils/data/frozen/texts`` afresh.

    python tools/freeze_texts.py FOLDER

FOLDER holds ``data.noun`` and the ``index`` files of WordNet 3.0. The documents
are read from the libraries installed beside this script. Nobody needs to run
it: the result is committed, and ``utils/data/corpora.py`` checks its digests.
It is here to show exactly what was taken and what was left out.
"""

import ast
import collections
import gzip
import hashlib
import importlib.util
import pathlib
import random
import re
import sys

OUT = pathlib.Path(__file__).resolve().parents[1] / "utils/data/frozen/texts"
KINDS = {  # WordNet's lexicographer files
    "05": "animal",
    "06": "artifact",
    "08": "body",
    "10": "communication",
    "13": "food",
    "20": "plant",
    "26": "state",
    "27": "substance",
}
MOST = 2600  # definitions of one kind
LIBRARIES = ("networkx", "numpy", "scipy", "sklearn")
# nothing that a class of teenagers or a workplace would not want to sample
UNWANTED = re.compile(
    r"sex|genital|erotic|obscen|vulgar|intercourse|prostitut|penis|vagina|vulva"
    r"|copulat|contracepti|condom|semen\b|scrot|testic|breast|nipple|buttock"
    r"|rectum|anus\b|excrement|feces|faeces|urin|menstrua|slang|offensive|"
    r"disparag|derog|ethnic|racis|jew|nazi|suicid|rape\b|masturb|orgasm|venereal"
    r"|pubic|lewd|narcotic|cocaine|heroin|clitor|\bnegro|\bslur|drug abuse",
    re.I,
)


def definitions(folder):
    """Rows (kind, headword, definition) of WordNet's common nouns."""
    rows, kind_at = [], {}
    for line in (folder / "data.noun").read_text("utf-8").splitlines():
        if line.startswith("  "):
            continue  # the licence
        fields, gloss = line.split(" | ", 1)
        fields = fields.split()
        kind = KINDS.get(fields[1])
        kind_at[fields[0]] = kind
        count = int(fields[3], 16)
        words = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
        words = [word for word in words if word.islower()]
        text = re.split(r"; *\"", gloss.strip())[0].strip(" ;:.")
        text = " ".join(text.split())
        if kind is None or "@i" in fields or not words:
            continue  # other kinds, proper names
        if not text.isascii() or len(text.split()) < 5 or '"' in text:
            continue
        if UNWANTED.search(line):
            continue
        rows.append((kind, words[0], text))
    return rows, kind_at


def at_most(rows):
    """Up to ``MOST`` rows of each kind, no text twice, in one fixed order."""
    rows = list({row[2]: row for row in sorted(rows)}.values())
    random.Random(0).shuffle(rows)
    kept = collections.defaultdict(list)
    for row in rows:
        if len(kept[row[0]]) < MOST:
            kept[row[0]].append(row)
    return sorted(row for some in kept.values() for row in some)


def word_kinds(folder, rows, kind_at):
    """Frequent words of the texts and the kind of their first noun sense."""
    counts = collections.Counter(
        word for row in rows for word in re.findall(r"[a-z]+", row[2].lower())
    )
    # words such as "wild" are nouns in a dictionary only
    other = {
        line.split()[0]
        for part in ("adj", "adv")
        for line in (folder / f"index.{part}").read_text("utf-8").splitlines()
    }
    found = []
    for line in (folder / "index.noun").read_text("utf-8").splitlines():
        fields = line.split()
        if fields[0] in other or counts[fields[0]] < 10:
            continue
        offsets = fields[-int(fields[2]) :]  # most frequent sense first
        kinds = [kind_at.get(offset) for offset in offsets]
        # words of one meaning, or whose meanings are mostly of one kind
        share = kinds.count(kinds[0]) / len(kinds)
        if kinds[0] and share >= 0.5 and len(fields[0]) > 2:
            found.append((fields[0], kinds[0]))
    return sorted(found)


def docstrings(package):
    """Yield (qualified name, docstring) of public functions and classes."""
    base = pathlib.Path(importlib.util.find_spec(package).origin).parent
    for path in sorted(base.rglob("*.py")):
        parts = path.relative_to(base.parent).with_suffix("").parts
        if {"tests", "externals", "_lib", "array_api_compat"} & set(parts):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node)
                if text and not node.name.startswith("_"):
                    yield ".".join([*parts, node.name]), text


def prose(text):
    """The plain sentences of a docstring's paragraphs."""
    text = re.split(r"\n(Parameters|Returns|Yields|Attributes)\n-", text)[0]
    kept = []
    for paragraph in re.split(r"\n\s*\n", text):
        flat = re.sub(r" *\[\d+\]_?|`+", "", " ".join(paragraph.split()))
        if re.search(r"::|>>>|[$|<>\\={}_\[\]*]|\.\. |^[-*\d]|--", flat):
            continue
        if flat.isascii() and flat[:1].isupper() and flat.endswith("."):
            kept.append(flat)
    return kept


def documents():
    """Rows (library, name, summary, body), the longest body of each summary."""
    found = {}
    for package in LIBRARIES:
        for name, text in docstrings(package):
            summary, *rest = prose(text) or [""]
            body = " ".join(rest)
            sentences = re.split(r"(?<=\.) (?=[A-Z])", body)
            short = 4 <= len(summary.split()) <= 25
            if short and len(sentences) >= 4 and len(body.split()) <= 260:
                known = found.get(summary)
                if known is None or len(known[3]) < len(body):
                    found[summary] = (package, name, summary, body)
    bodies = {row[3]: row for row in sorted(found.values())}
    return sorted(bodies.values())


def write(name, rows):
    """Write tab-separated rows as gzip without a date in it."""
    text = "".join("\t".join(row) + "\n" for row in rows).encode()
    packed = gzip.compress(text, 9, mtime=0)
    (OUT / name).write_bytes(packed)
    print(name, len(rows), "rows", len(packed), "bytes")
    print(hashlib.sha256(text).hexdigest())


def main():
    """Read the sources, write the three files."""
    folder = pathlib.Path(sys.argv[1])
    rows, kind_at = definitions(folder)
    rows = at_most(rows)
    write("definitions.tsv.gz", rows)
    write("kinds.tsv.gz", word_kinds(folder, rows, kind_at))
    write("documents.tsv.gz", documents())


if __name__ == "__main__":
    main()
