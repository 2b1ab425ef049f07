"""Awkward pictures look as in a browser: Chromium's own decoders, on a white page, turned as it turns them."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from functools import partial
from http.server import ThreadingHTTPServer

import numpy as np
import pytest

from heatcli.pictures.reading import read_picture
from tests.browser.test_browser import LIMIT, NAMES, Handler

PAGE = """<!DOCTYPE html><meta charset="utf-8"><script>
async function pixels(name) {
  const blob = await (await fetch(name)).blob();
  const image = await createImageBitmap(blob, {colorSpaceConversion: "none", imageOrientation: "from-image"});
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, image.width, image.height);
  context.drawImage(image, 0, 0);
  const found = context.getImageData(0, 0, image.width, image.height);
  return {width: found.width, height: found.height, pixels: Array.from(found.data)};
}
(async () => {
  const found = {};
  for (const name of NAMES) found[name] = await pixels(name).catch(error => ({error: String(error)}));
  await fetch("found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""
# Left out: mode_16bit.png, which holds a picture for programs that show no animations, and browsers show those;
# xmp_tags_orientation.png, since browsers do not look for an orientation there.
PICTURES = {
    # how far pixels may be off, the mean over all: versions of a decoder differ in how they smooth colours
    "chi.gif": 0, "hopper.gif": 0, "iss634.gif": 0, "hopper.png": 0, "tRNS_null_1x1.png": 0, "exif.png": 0,
    "itxt_chunks.png": 0,
    "pil123rgba.png": 0.1, "transparent.webp": 0.2, "flower.webp": 0.5, "hopper_orientation_3.jpg": 0.5,
    "hopper_orientation_6.jpg": 0.5, "orientation_rectangle.jpg": 0.5, "iptc.jpg": 0.5, "junk_jpeg_header.jpg": 0.5,
    "photoshop-200dpi.jpg": 0.5, "pil_sample_cmyk.jpg": 1,
}  # fmt: skip


def test_pixels_are_those_of_a_browser(tmp_path, data):
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if not browser:
        pytest.skip("no Chromium")
    for name in PICTURES:
        shutil.copy(data / "awkward" / name, tmp_path)
    (tmp_path / "page.html").write_text(PAGE.replace("NAMES", str(list(PICTURES))), encoding="utf-8")
    found: queue.Queue = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path), found=found))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    address = f"http://127.0.0.1:{server.server_port}/page.html"
    with subprocess.Popen(
        [browser, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            shown = found.get(timeout=LIMIT)
        finally:
            process.kill()
            server.shutdown()
            server.server_close()
    for name, off in PICTURES.items():
        assert "error" not in shown[name], (name, shown[name])
        page = np.reshape(shown[name]["pixels"], (shown[name]["height"], shown[name]["width"], 4))[:, :, :3]
        ours = np.asarray(read_picture(data / "awkward" / name), np.float64)
        assert ours.shape == page.shape, name
        assert np.abs(ours - page).mean() <= off, (name, np.abs(ours - page).mean())
