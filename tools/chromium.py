"""A Chromium without a window, driven by its DevTools protocol.

For the tests of the site's pages: playwright and selenium each bring a driver
or a browser of their own, several times the size of the course's packages. Here
the browser that a machine has is enough, and a websocket that Jupyter needs
anyway.
"""

import base64
import itertools
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 30  # to start, and to answer, unless told otherwise


def find():
    """Path of a Chromium on this machine, or ``None``."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab: ``with chromium.Page() as page: page.visit(address)``.

    Attributes:
        requests: Addresses asked for since the last :meth:`visit`.
        errors: Messages of scripts that failed since then.
    """

    def __init__(self, path=None, seconds=SECONDS):
        path = path or find()
        if path is None:
            raise FileNotFoundError(f"none of {NAMES} is installed")
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._numbers = itertools.count(1)
        self.requests, self.errors = [], []
        command = [path, "--headless=new", "--no-sandbox", "--disable-gpu"]
        command += ["--disable-dev-shm-usage", "--hide-scrollbars"]
        command += ["--remote-debugging-port=0", "--remote-allow-origins=*"]
        command += [f"--user-data-dir={self._folder.name}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self):
        port = pathlib.Path(self._folder.name) / "DevToolsActivePort"
        ends = time.monotonic() + self._seconds
        while not (port.exists() and len(port.read_text("utf-8").split()) == 2):
            if time.monotonic() > ends or self._process.poll() is not None:
                raise TimeoutError("the browser does not start")
            time.sleep(0.05)
        number, path = port.read_text("utf-8").split()
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{number}{path}", timeout=self._seconds
        )
        self._session = None
        tab = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send(
            "Target.attachToTarget", targetId=tab, flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the browser and remove what it wrote."""
        if hasattr(self, "_socket"):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def send(self, method, **params):
        """Call a method of the protocol; its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self):
        """Next message; requests and errors in it are noted."""
        message = json.loads(self._socket.recv())
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        return message

    def visit(self, address, ready="document.readyState == 'complete'"):
        """Load a page and wait until an expression of it is true."""
        self.requests, self.errors = [], []
        self.send("Page.navigate", url="about:blank")
        self.wait("location.href == 'about:blank'")
        self.send("Page.navigate", url=str(address))
        self.wait(
            f"location.href != 'about:blank' && document.body && ({ready})"
        )

    def wait(self, expression):
        """Until an expression of the page is true.

        Raises:
            TimeoutError: it is not, after all the seconds given.
        """
        ends = time.monotonic() + self._seconds
        while not self.ask(expression):
            if time.monotonic() > ends:
                raise TimeoutError(f"{expression}; errors: {self.errors}")
            time.sleep(0.05)

    def ask(self, expression):
        """Value of an expression in the page, a promise's once it is there."""
        found = self.send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def look(self, width, height=900, *, dark=False, touch=False):
        """Set the size of the window, its scheme, and whether it is touched."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme"}
        scheme["value"] = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key, times=1):
        """Press and release a key of that name."""
        text = {" ": " ", "Enter": "\r"}.get(key)
        event = {"key": key, "code": "Space" if key == " " else key}
        for _ in range(times):
            down = {"text": text} if text else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **event, **down)
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def drag(self, *points):
        """Press at the first point of the window, move on, let go."""
        kinds = ["mousePressed"] + ["mouseMoved"] * (len(points) - 1)
        for kind, (x, y) in zip(kinds, points, strict=True):
            mouse = {"x": x, "y": y, "button": "left", "buttons": 1}
            self.send(
                "Input.dispatchMouseEvent", type=kind, clickCount=1, **mouse
            )
        mouse["buttons"] = 0
        self.send(
            "Input.dispatchMouseEvent",
            type="mouseReleased",
            clickCount=1,
            **mouse,
        )

    def touch(self, *points):
        """As :meth:`drag`, by a finger."""
        kinds = ["touchStart"] + ["touchMove"] * (len(points) - 1)
        for kind, (x, y) in zip(kinds, points, strict=True):
            self.send(
                "Input.dispatchTouchEvent",
                type=kind,
                touchPoints=[{"x": x, "y": y}],
            )
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, path, *, whole=False):
        """Write what the window shows, or the whole page, as PNG."""
        found = self.send(
            "Page.captureScreenshot", captureBeyondViewport=whole, format="png"
        )
        pathlib.Path(path).write_bytes(base64.b64decode(found["data"]))
