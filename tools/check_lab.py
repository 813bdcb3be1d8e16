"""Chapter 02a in a real browser, as ``make lab`` opens it.

    .venv/bin/python -m pip install selenium      # and Debian's packages
    .venv/bin/python tools/check_lab.py           # chromium, chromium-driver

Works on a copy of the course, so that no committed notebook changes. Prints a
line for each thing it has seen, with the seconds since the start; pictures of
the screen go to build/lab/. Two minutes, so not in ``make test``.
"""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

import lab
from selenium import webdriver
from selenium.webdriver.common.by import By

CHAPTER = "02a_autoencoders.ipynb"
PICTURES = lab.ROOT / "build" / "lab"
START = time.perf_counter()

# What the page is asked: the notebook in front, a cell of it by its id.
BOOK = "const book = jupyterapp.shell.currentWidget.content;"
CELL = f"""{BOOK} const cell = book.widgets.find(
  (c) => c.model.id === arguments[0]);
  const place = book.widgets.indexOf(cell);"""
SCROLL = f"{CELL} book.scrollToItem(place);"
SHOWN = f"{SCROLL} return cell.outputArea.node.innerText.trim();"
WRITE = f"{CELL} cell.model.sharedModel.setSource(arguments[1]);"
RUN = f"""{CELL} book.activeCellIndex = place;
  jupyterapp.commands.execute('notebook:run-cell')
  .then(() => arguments[1]());"""
WITH = f"""{BOOK} return book.widgets.filter((c) => c.model.sharedModel
  .getSource().includes(arguments[0])).map((c) => c.model.id);"""
LAST = f"""{BOOK} return book.widgets.filter(
  (c) => c.model.type === 'code').at(-1).model.executionCount;"""
FRONT = "return jupyterapp.shell.currentWidget.title.label;"
COMMAND = "jupyterapp.commands.execute(arguments[0], arguments[1] ?? {});"


def seen(what):
    """Report one thing that was seen."""
    print(f"{time.perf_counter() - START:6.1f} s  {what}", flush=True)


def need(condition, what):
    """Stop unless the condition holds."""
    if not condition:
        raise SystemExit(f"Not as it should be: {what}")


def until(condition, what, seconds=120):
    """Wait for a condition, and stop if it does not come."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        with contextlib.suppress(Exception):  # the page is still being built
            if condition():
                return
        time.sleep(0.1)
    need(False, f"{what}, not seen within {seconds} s")


@contextlib.contextmanager
def server():
    """JupyterLab with the settings of ``make lab``; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    """Neither a button of an extension nor a question is on the page."""
    text = page.find_element(By.TAG_NAME, "body").text.lower()
    for word in ("nbgrader", "validate", "formgrader", "news", "jupytext"):
        need(word not in text, f"{word!r} on the page")
    questions = ".jp-Dialog, .Toastify__toast"
    need(not page.find_elements(By.CSS_SELECTOR, questions), "a question")


def check_link(page):
    """A link of the chapter to a page of docs/ opens it in a tab."""
    page.execute_script(SCROLL, page.execute_script(WITH, "../docs/")[0])
    links = ".jp-Notebook a[href*='docs/']"
    until(lambda: page.find_elements(By.CSS_SELECTOR, links), links)
    link = page.find_element(By.CSS_SELECTOR, links)
    target = urllib.parse.urlsplit(link.get_attribute("href"))
    name = target.path.split("/")[-1]
    page.execute_script("arguments[0].click();", link)
    until(lambda: page.execute_script(FRONT) == name, f"a tab with {name}")
    page.save_screenshot(str(PICTURES / "link.png"))
    page.execute_script("jupyterapp.shell.currentWidget.close()")
    until(lambda: page.execute_script(FRONT) == CHAPTER, CHAPTER)
    seen(f"a link opens {name}")


def check_progress(page):
    """The line of the first long fit moves, then stands without time left."""
    (cell,) = page.execute_script(WITH, 'ProgressLine(f"seed {seed}")')
    states = set()

    def finished():
        text = page.execute_script(SHOWN, cell)
        lines = [line.rstrip() for line in text.splitlines()]
        states.update(line for line in lines if " left)" in line)
        if len(states) == 5:
            page.save_screenshot(str(PICTURES / "progress.png"))
        return len(lines) == 3 and all(line.endswith(" s)") for line in lines)

    until(finished, "three lines of three trainings", 400)
    need(len(states) >= 5, f"the progress line moved: {states}")
    seen(f"the progress line moved, {len(states)} states: {max(states)}")


def check_exercises(page):
    """A stub, a wrong and a right answer: one line each."""
    (answer,) = page.execute_script(WITH, "def reduce_dimension")
    (check,) = page.execute_script(WITH, "check_2_2(reduce_dimension)")
    (model,) = page.execute_script(WITH, "check_2_5(model_2_5)")
    head = "def reduce_dimension(model, x):\n    return model."
    for source, cell, words in (
        (None, model, "Exercise 2.5 waits for your answer"),
        (None, check, "Exercise 2.2 waits for your answer"),
        (f"{head}reconstruct(x)", check, "Your rows are as wide as the input"),
        (f"{head}encode(x)", check, "Exercise 2.2: correct."),
    ):
        if source:
            page.execute_script(WRITE, answer, source)
            page.execute_async_script(RUN, answer)
        page.execute_async_script(RUN, cell)
        text = page.execute_script(SHOWN, cell)
        page.save_screenshot(str(PICTURES / f"{words.replace(' ', '_')}.png"))
        need(text.startswith(words) and len(text.splitlines()) == 1, text)
        seen(f"one line: {text}")


def check_all(page, address):
    """The lab from its first page to the exercises of the chapter."""
    page.set_script_timeout(300)
    until(lambda: page.get(address) is None, "the server")
    files = f".jp-DirListing-item[title*='{CHAPTER}']"
    until(lambda: page.find_elements(By.CSS_SELECTOR, files), files)
    time.sleep(5)  # questions come late
    check_clean(page)
    page.save_screenshot(str(PICTURES / "start.png"))
    seen("the lab opens on the chapters, clean")
    chapter = {"path": f"chapters/{CHAPTER}"}
    page.execute_script(COMMAND, "docmanager:open", chapter)
    until(lambda: page.execute_script(WITH, "model_2_5"), CHAPTER)
    until(lambda: "Idle" in page.page_source, "a kernel that is ready")
    check_clean(page)
    check_link(page)
    page.execute_script(COMMAND, "notebook:clear-all-cell-outputs")
    page.execute_script(COMMAND, "notebook:run-all-cells")
    check_progress(page)
    until(lambda: page.execute_script(LAST), "the last cell", 900)
    seen("Run All went on to the last cell")
    check_exercises(page)


def main():
    """Run all checks on a copy of the course."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    skip = shutil.ignore_patterns(".*", "build", "__pycache__")
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "course"
        shutil.copytree(lab.ROOT, copy, ignore=skip)
        lab.ROOT = copy
        with server() as address, browser() as page:
            check_all(page, address)


if __name__ == "__main__":
    main()
