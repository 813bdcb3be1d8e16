"""Chapter 02 in a real browser, as ``make lab`` opens it.

    .venv/bin/python -m pip install selenium      # and Debian's packages
    .venv/bin/python tools/check_lab.py           # chromium, chromium-driver

Works on a copy of the course, so that no committed notebook changes. Prints a
line for each thing it has seen, with the seconds since the start; pictures of
the screen go to build/lab/. Minutes, so not in ``make test``.
"""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import lab
from selenium import webdriver
from selenium.webdriver.common.by import By

CHAPTER = "02_autoencoders.ipynb"
PICTURES = lab.ROOT / "build" / "lab"
START = time.perf_counter()

# In the page: the notebook in front, and what a cell of it shows.
NOTEBOOK = "const book = jupyterapp.shell.currentWidget.content;"
SCROLL = f"""{NOTEBOOK} const cell = book.widgets.find(
  (c) => c.model.id === arguments[0]);
  book.scrollToItem(book.widgets.indexOf(cell));"""
SHOWN = f"{SCROLL} return cell.outputArea.node.innerText;"
SOURCE = f"""{NOTEBOOK} book.widgets.find((c) => c.model.id === arguments[0])
  .model.sharedModel.setSource(arguments[1]);"""
RUN = f"""{NOTEBOOK} const done = arguments[1];
  book.activeCellIndex = book.widgets.findIndex(
    (c) => c.model.id === arguments[0]);
  jupyterapp.commands.execute('notebook:run-cell').then(() => done());"""
LAST = f"""{NOTEBOOK} return book.widgets.filter(
  (c) => c.model.type === 'code').at(-1).model.executionCount;"""
CELLS = f"""{NOTEBOOK} return book.widgets.filter(
  (c) => c.model.sharedModel.getSource().includes(arguments[0])
  ).map((c) => c.model.id);"""


def seen(what):
    """Report one thing that was seen."""
    print(f"{time.perf_counter() - START:6.1f} s  {what}", flush=True)


def need(condition, what):
    """Stop unless the condition holds."""
    if not condition:
        raise SystemExit(f"Not as it should be: {what}")


def until(condition, what, seconds=120):
    """Wait for a condition; return its value, or stop with what lacks."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        with contextlib.suppress(Exception):  # the page is still being built
            if value := condition():
                return value
        time.sleep(0.1)
    raise SystemExit(f"Not seen within {seconds} s: {what}")


@contextlib.contextmanager
def server(root):
    """JupyterLab on ``root`` with the settings of ``make lab``: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab.ROOT = root
    words = lab.command(
        *("--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"),
    )
    with open(PICTURES / "server.log", "wb") as log:
        process = subprocess.Popen(
            words, env=lab.environment(), stdout=log, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def browser():
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--window-size=1400,1000"):
        options.add_argument(word)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=driver)


def check_clean(page):
    """Neither a button of nbgrader nor a question is on the page."""
    text = page.find_element(By.TAG_NAME, "body").text.lower()
    for word in ("nbgrader", "validate", "formgrader", "news", "jupytext"):
        need(word not in text, f"{word!r} on the page")
    questions = ".jp-Dialog, .Toastify__toast"
    need(not page.find_elements(By.CSS_SELECTOR, questions), "a question")


def check_link(page):
    """A link of the chapter to a page of docs/ opens it in a tab."""
    page.execute_script(SCROLL, page.execute_script(CELLS, "../docs/")[0])
    links = ".jp-Notebook a[href*='docs/']"
    until(lambda: page.find_elements(By.CSS_SELECTOR, links), links)
    link = page.find_element(By.CSS_SELECTOR, links)
    target = urllib.parse.urlsplit(link.get_attribute("href"))
    name = target.path.split("/")[-1]
    page.execute_script("arguments[0].click();", link)
    front = "return jupyterapp.shell.currentWidget.title.label"
    until(lambda: page.execute_script(front) == name, f"a tab with {name}")
    page.save_screenshot(str(PICTURES / "link.png"))
    page.execute_script("jupyterapp.shell.currentWidget.close()")
    until(lambda: page.execute_script(front) == CHAPTER, CHAPTER)
    seen(f"a link opens {name}")


def check_progress(page):
    """The line of the first long fit moves, then stands without time left."""
    (cell,) = page.execute_script(CELLS, 'ProgressLine(f"seed {seed}")')
    states = set()

    def finished():
        text = page.execute_script(SHOWN, cell).strip()
        states.update(line for line in text.splitlines() if " left)" in line)
        if len(states) == 5:
            page.save_screenshot(str(PICTURES / "progress.png"))
        return text if text.count("epoch") == 3 and "left" not in text else ""

    text = until(finished, "three lines of progress", 400)
    need(len(states) >= 5, states)
    need(len(text.splitlines()) == 3, text)
    seen(f"the progress line moved, {len(states)} states: {max(states)}")


def check_exercises(page):
    """A stub, a wrong and a right answer: one line each."""
    (answer,) = page.execute_script(CELLS, "answer_2_1 = None")
    (check,) = page.execute_script(CELLS, "check_2_1(answer_2_1)")
    (function,) = page.execute_script(CELLS, "check_2_2(reduce_dimension)")
    for source, cell, words in (
        (None, check, "Exercise 2.1 waits for your answer"),
        (None, function, "Exercise 2.2 waits for your answer"),
        ("answer_2_1 = 3.56", check, "3.56 is the sum over the four pixels"),
        ("answer_2_1 = 0.89", check, "Exercise 2.1: correct."),
    ):
        if source:
            page.execute_script(SOURCE, answer, source)
            page.execute_async_script(RUN, answer)
        page.execute_async_script(RUN, cell)
        text = page.execute_script(SHOWN, cell).strip()
        page.save_screenshot(str(PICTURES / f"{words.replace(' ', '_')}.png"))
        need(text.startswith(words) and len(text.splitlines()) == 1, text)
        seen(f"one line: {text}")


def main():
    """Run all checks; an assertion or a missing thing ends the program."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    skip = shutil.ignore_patterns(".*", "build", "__pycache__")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "course"
        shutil.copytree(lab.ROOT, root, ignore=skip)
        with server(root) as address, browser() as page:
            page.set_script_timeout(300)
            until(lambda: page.get(address) is None, "the server")
            files = ".jp-DirListing-item[title*='02_autoencoders']"
            until(lambda: page.find_elements(By.CSS_SELECTOR, files), files)
            time.sleep(5)  # questions come late
            check_clean(page)
            page.save_screenshot(str(PICTURES / "start.png"))
            seen("the lab opens on the chapters, clean")
            page.execute_script(
                "jupyterapp.commands.execute('docmanager:open', "
                f"{{path: 'chapters/{CHAPTER}'}})"
            )
            until(lambda: page.execute_script(CELLS, "answer_2_1"), CHAPTER)
            until(lambda: "Idle" in page.page_source, "a kernel that is ready")
            check_clean(page)
            check_link(page)
            for command in ("clear-all-cell-outputs", "run-all-cells"):
                page.execute_script(
                    f"jupyterapp.commands.execute('notebook:{command}')"
                )
            check_progress(page)
            until(lambda: page.execute_script(LAST), "the last cell", 900)
            seen("Run All went on to the last cell")
            check_exercises(page)
            page.save_screenshot(str(PICTURES / "end.png"))


if __name__ == "__main__":
    sys.exit(main())
