"""The compiled explainer runs in a web page: onnxruntime-web in headless Chromium gives the NumPy engine's heatmap.

Needs Chromium, and the ``dist`` folder of the npm package onnxruntime-web under ``HEATCLI_ORT_WEB``.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import heatcli

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT = 120
"""Seconds after which a browser that says nothing counts as broken."""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and takes what the page found."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "application/wasm", ".mjs": "text/javascript"}

    def __init__(self, *given, found: queue.Queue, **more):
        self.found = found
        super().__init__(*given, **more)

    def do_POST(self):
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def test_heatmap_in_a_page(tmp_path):
    dist = os.environ.get("HEATCLI_ORT_WEB")
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if not dist or not browser:
        pytest.skip("no Chromium" if dist else "HEATCLI_ORT_WEB does not name onnxruntime-web's dist folder")
    explainer = heatcli.load(ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx")
    explainer.compile(tmp_path / "explainer.onnx")
    shutil.copy(HERE / "page.html", tmp_path)
    (tmp_path / "ort").symlink_to(Path(dist).resolve())
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, 128, 128)).astype(np.float32)
    pixels[:, :, 32:96, 32:96] = 0.5
    (tmp_path / "pixels.bin").write_bytes(pixels.tobytes())

    found: queue.Queue = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path), found=found))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/page.html"
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    with subprocess.Popen(
        [browser, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            result = found.get(timeout=LIMIT)
        finally:
            process.kill()
            server.shutdown()
            server.server_close()
    assert "error" not in result, result
    expected = explainer.explain_targets(pixels, targets=("top-2",), range=(-1, 1))
    heatmaps = np.reshape(result["heatmap"], result["dims"])
    ledgers = np.reshape(result["ledger"], (2, 5))
    for place, one in enumerate(expected):
        assert np.abs(heatmaps[place] - one.heatmap).max() <= 1e-4 * np.abs(one.heatmap).max()
        assert abs(ledgers[place, 1] - one.ledger.pixels) <= 1e-4 * max(1.0, abs(one.ledger.start))
