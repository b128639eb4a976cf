"""A front end without a browser: it runs cells in a real kernel, sees what they show, clicks, types and interrupts."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager


def isolated_environment(home: Path) -> dict[str, str]:
    """Return the process's environment with every folder that a person owns replaced by one below *home*."""
    home.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CW_", "CLOCKWORK_", "JPY_", "JUPYTER"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | {
        "CLOCKWORK_HOME": str(home / "store"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@dataclass
class Cell:
    """What one execution has shown so far."""

    msg_id: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] | None = None
    idle: bool = False

    @property
    def done(self) -> bool:
        return self.idle and self.reply is not None

    @property
    def error(self) -> dict[str, Any] | None:
        return next((o for o in self.outputs if o["type"] == "error"), None)

    @property
    def error_text(self) -> str:
        return "\n".join(self.error["traceback"]) if self.error else ""

    @property
    def streams(self) -> str:
        return "".join(o["text"] for o in self.outputs if o["type"] == "stream")

    @property
    def text(self) -> str:
        """Everything a person without HTML sees, errors last."""
        shown = [o["data"].get("text/plain", "") for o in self.outputs if "data" in o]
        return "\n".join([self.streams, *shown, self.error_text])

    @property
    def html(self) -> str:
        return "\n".join(o["data"].get("text/html", "") for o in self.outputs if "data" in o)

    def data(self, mime: str) -> Any:
        """Return the last output of type *mime*; KeyError if there is none."""
        for output in reversed(self.outputs):
            if mime in output.get("data", {}):
                return output["data"][mime]
        raise KeyError(f"{mime}: {[sorted(o.get('data', {})) for o in self.outputs]}")


class FrontEnd:
    """One notebook and its kernel."""

    def __init__(self, folder: Path, env: Mapping[str, str], name: str = "demo.ipynb") -> None:
        self.folder = folder
        self.env = {**env, "JPY_SESSION_NAME": str(folder / name)}
        self.cells: dict[str, Cell] = {}
        self.widgets: dict[str, dict[str, Any]] = {}
        self.prompts: list[str] = []
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=self.env, cwd=str(folder))
        self.client: BlockingKernelClient = self._connect()

    def _connect(self) -> BlockingKernelClient:
        client = self.manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        return client

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def restart(self) -> None:
        """Start the kernel again, as after a crash: nothing of it is left."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self.client = self._connect()
        self.widgets.clear()

    # --- cells ------------------------------------------------------------------------------------------------------

    def submit(self, code: str, *, cell_id: str = "", allow_stdin: bool = True) -> Cell:
        """Send a cell and return at once."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell_id} if cell_id else {})
        self.client.shell_channel.send(message)
        cell = self.cells[message["header"]["msg_id"]] = Cell(message["header"]["msg_id"])
        return cell

    def run(self, code: str, *, cell_id: str = "", allow_stdin: bool = True, timeout: float = 60) -> Cell:
        """Run a cell to its end."""
        cell = self.submit(code, cell_id=cell_id, allow_stdin=allow_stdin)
        self.wait(lambda: cell.done, f"the end of {code!r}", timeout)
        return cell

    def ok(self, code: str, **options: Any) -> Cell:
        """Run a cell that must succeed."""
        cell = self.run(code, **options)
        assert cell.error is None, cell.text
        return cell

    def wait(self, until: Callable[[], Any], what: str, timeout: float = 60) -> None:
        """Take in what the kernel says until *until* holds."""
        end = time.monotonic() + timeout
        while not until():
            if time.monotonic() > end:
                seen = "\n---\n".join(c.text for c in self.cells.values())
                raise AssertionError(f"waited {timeout:g} s for {what}\n{seen}")
            self._take_all(self.client.iopub_channel, 0.02)
            self._take_all(self.client.shell_channel, 0.001)
            self._take_all(self.client.stdin_channel, 0.001)

    def _take_all(self, channel: Any, timeout: float) -> None:
        while True:
            try:
                self._take(channel.get_msg(timeout=timeout))
            except queue.Empty:
                return

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "input_request":
            self.prompts.append(content["prompt"])
        elif kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif kind == "comm_close":
            self.widgets.pop(content["comm_id"], None)
        cell = self.cells.get((message["parent_header"] or {}).get("msg_id", ""))
        if kind == "update_display_data":
            self._update(content)
        elif cell is None:
            return
        elif kind == "execute_reply":
            cell.reply = content
        elif kind == "status":
            cell.idle = content["execution_state"] == "idle"
        elif kind == "stream":
            cell.outputs.append({"type": "stream", "text": content["text"]})
        elif kind == "error":
            cell.outputs.append({"type": "error", **content})
        elif kind in {"display_data", "execute_result"}:
            display_id = content.get("transient", {}).get("display_id")
            cell.outputs.append({"type": kind, "data": content["data"], "display_id": display_id})

    def _update(self, content: Mapping[str, Any]) -> None:
        wanted = content["transient"]["display_id"]
        for cell in self.cells.values():
            for output in cell.outputs:
                if output.get("display_id") == wanted:
                    output["data"] = content["data"]

    # --- the person -------------------------------------------------------------------------------------------------

    def send_comm(self, comm_id: str, data: Mapping[str, Any]) -> None:
        """Send what a view sends: a custom message or changed traits."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": dict(data)})
        self.client.shell_channel.send(message)

    def widget(self, **traits: Any) -> str:
        """Return the comm id of the newest widget whose traits start with *traits*; empty if there is none yet."""
        for comm_id, state in reversed(self.widgets.items()):
            if all(str(state.get(k, "")).startswith(str(v)) for k, v in traits.items()):
                return comm_id
        return ""

    def type(self, answer: str) -> None:
        """Answer an input prompt."""
        self.client.input(answer)

    def interrupt(self) -> None:
        """Press Stop."""
        self.manager.interrupt_kernel()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a person who has nothing yet."""
    return isolated_environment(tmp_path / "home")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder the notebook is in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def front_end(project: Path, environment: dict[str, str]) -> Iterator[FrontEnd]:
    """A notebook with a running kernel, the extension not loaded yet."""
    notebook = FrontEnd(project, environment)
    yield notebook
    notebook.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """One kernel for all tests of a file that leave nothing behind."""
    home = tmp_path_factory.mktemp("shared")
    folder = home / "project"
    folder.mkdir()
    notebook = FrontEnd(folder, isolated_environment(home / "home"))
    yield notebook
    notebook.close()
