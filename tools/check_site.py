"""Open every page of the built site in a Chromium, and say what is wrong.

    python tools/check_site.py                      widths, hosts, scripts
    python tools/check_site.py --axe axe.min.js     and axe-core's rules
    python tools/check_site.py --axe … playground   pages whose name has this

Each page is opened on a desk and on a phone, light and dark. Said of it: what
is wider than the window, requests to other hosts, scripts that fail, and what
axe-core (``npm pack axe-core``; not a part of the course) calls a violation.
"""

import argparse
import collections
import json
import pathlib
import sys

import chromium
from build_site import SITE

WIDTHS = (1280, 390)
OWN = ("file:", "data:", "about:", "blob:")
SETTLED = (
    "new Promise((done) => { const end = () => setTimeout(done, 100);"
    "const maths = window.MathJax?.startup?.promise;"
    "maths ? maths.then(end) : end() })"
)
AXE = (
    "axe.run(document, {resultTypes: ['violations']}).then((found) =>"
    "found.violations.map((v) => [v.id, v.nodes.length, v.nodes[0].html]))"
)


def faults(page, file, width, axe=None):
    """What is wrong with one page at one width: ``(what, count, example)``."""
    found = []
    page.look(width, touch=width < 500)
    page.visit(file.as_uri())
    page.ask(SETTLED)
    others = [url for url in page.requests if not url.startswith(OWN)]
    if others:
        found.append(("another host", len(others), others[0]))
    if page.errors:
        found.append(("script", len(page.errors), page.errors[0]))
    wide = page.ask("document.documentElement.scrollWidth")
    if wide > width:
        found.append(("wider than the window", wide - width, "pixels"))
    if axe is None:
        return found
    page.ask(axe + "; true")
    for scheme in ("light", "dark"):
        page.ask(f"document.documentElement.dataset.theme = '{scheme}'; true")
        page.ask("new Promise((done) => setTimeout(done, 300))")
        for rule, count, example in page.ask(AXE):
            found.append((f"axe {rule}, {scheme}", count, example))
    return found


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--axe", type=pathlib.Path, help="path of axe.min.js")
    options = parser.parse_args(arguments)
    axe = options.axe.read_text("utf-8") if options.axe else None
    files = [
        file
        for file in sorted(SITE.rglob("*.html"))
        if options.pattern in str(file.relative_to(SITE))
    ]
    totals = collections.Counter()
    with chromium.Page(seconds=300) as page:  # long pages, slow machines
        for file in files:
            name, before = file.relative_to(SITE), totals.total()
            for width in WIDTHS:
                for what, count, example in faults(page, file, width, axe):
                    totals[what] += 1
                    print(
                        f"{name} at {width}: {what}, {count}: {example[:150]}"
                    )
            if totals.total() == before:
                print(f"{name}: no fault", flush=True)
    found = json.dumps(totals) if totals else "no fault"
    print(f"{len(files)} pages at {WIDTHS}: {found}")
    return int(bool(totals))


if __name__ == "__main__":
    sys.exit(main())
