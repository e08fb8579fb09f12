"""Wheels, zip files and folders that hold a plugin, and a server that hands them out."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SOURCE = """
from plughost import Plugin

class P(Plugin):
    answer = {answer}

    def status(self):
        return {{"answer": self.answer}}
"""

MANIFEST = """
[project]
name = "acme-{name}"
version = "2.1.0"

[project.entry-points."plughost.plugins"]
{name} = "{module}:P"
"""


def sources(name: str = "boxed", module: str = "boxed_code", answer: int = 42) -> dict[str, str]:
    """The files of a plugin folder."""
    return {
        "pyproject.toml": MANIFEST.format(name=name, module=module),
        f"{module}/__init__.py": SOURCE.format(answer=answer),
        f"{module}/plugin.toml": 'description = "comes in a box"\n',
    }


def wheel_files(name: str = "boxed", module: str = "boxed_code", answer: int = 42) -> dict[str, str]:
    """The files of a wheel."""
    files = sources(name, module, answer)
    del files["pyproject.toml"]
    info = f"acme_{name}-2.1.0.dist-info"
    return files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 2.1.0\n",
        f"{info}/entry_points.txt": f"[plughost.plugins]\n{name} = {module}:P\n",
        f"{info}/RECORD": "",
    }


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip file of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def write_folder(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def hash_of(data: bytes) -> str:
    return sha256(data).hexdigest()


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve every request on the loopback address with ``answer``; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def file(data: bytes) -> Answer:
    """An answer that hands out a file."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(data)

    return answer
