"""One JupyterLab server and one Chromium for all browser tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SHOTS = Path("test-results")
_CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-default-apps", "--disable-extensions",
    "--metrics-recording-only", "--disable-domain-reliability",
)  # fmt: skip


@dataclass
class Lab:
    """A running server, a page in it, and the folder it serves."""

    url: str
    root: Path
    page: Any

    def open(self, name: str) -> None:
        """Open notebook *name* alone in the page and wait until its kernel is there."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('application:close-all')")
        self.page.evaluate("n => window.jupyterapp.commands.execute('docmanager:open', {path: n})", name)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=30_000)
        self.page.wait_for_function(
            """() => { const w = window.jupyterapp.shell.currentWidget;
                       return w && w.sessionContext && w.sessionContext.isReady && w.sessionContext.session
                              && w.sessionContext.session.kernel; }""",
            timeout=60_000,
        )

    def run_all(self) -> None:
        """Choose Run All; does not wait."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def theme(self, name: str) -> None:
        """Choose a theme: "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", name)
        light = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached", timeout=10_000)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=10_000)

    def wait_until_idle(self, timeout_s: float = 60) -> None:
        """Wait until no cell shows ``[*]``; the kernel's status is no safe sign of that."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(x => x.textContent.includes('*'))",
            timeout=timeout_s * 1000,
        )

    def prompts(self) -> list[str]:
        """Return the prompts of the code cells, ``[1]:``, ``[*]:`` or ``[ ]:``."""
        return [
            t.strip().rstrip(":")
            for t in self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").all_text_contents()
        ]

    def text(self) -> str:
        """Return the text of all outputs."""
        return "\n".join(self.page.locator(".jp-Notebook .jp-OutputArea-output").all_inner_texts())

    def shot(self, name: str) -> Path:
        """Keep a picture of the page and return where it is."""
        SHOTS.mkdir(exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=str(path))
        return path


def chromium() -> str:
    """Return the browser's path; skips where there is none, unless everything is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CW_REQUIRE_ALL") == "1":
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("Chromium is missing: apt-get install chromium")
    return found


def _environment(home: Path) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CW_", "CLOCKWORK_", "JPY_", "JUPYTER"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR", "CLOCKWORK_HOME", "XDG_CONFIG_HOME",
    ):  # fmt: skip
        folder = home / name.lower()
        folder.mkdir(parents=True)
        env[name] = str(folder)
    news = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    return env


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with opener.open(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab server and the folder it serves."""
    home = tmp_path_factory.mktemp("lab")
    root = home / "project"
    root.mkdir()
    port, log = _free_port(), home / "server.log"
    argv = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(argv, env=_environment(home), stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", process, log)
        yield f"http://127.0.0.1:{port}", root
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@pytest.fixture(scope="session")
def lab(server: tuple[str, Path]) -> Iterator[Lab]:
    """JupyterLab in a browser."""
    executable = chromium()
    sync_api = pytest.importorskip("playwright.sync_api")
    url, root = server
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=list(_CHROMIUM))
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{url}/lab/workspaces/auto-cw?reset")
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.restored", timeout=60_000)
        page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        yield Lab(url, root, page)
        browser.close()
