"""Looks at pages with headless Chromium: no two texts overlap, nothing is loaded, nothing is wider than the window, and a
screenshot can be taken. usage: browser.py BROWSER PAGE..."""

import html
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

# Runs in a copy of the page without its content security policy, which forbids scripts, and writes what it finds into it.
PROBE = """
<script>
const boxes = [...document.querySelectorAll('svg text, h1, h2, p, figcaption, td, th, pre, summary')]
  .map(e => ({text: e.textContent.slice(0, 40), r: e.getBoundingClientRect()}))
  .filter(b => b.r.width > 0 && b.text.trim() !== '');
const over = [];
for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
  const a = boxes[i].r, b = boxes[j].r;
  const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (w > 1 && h > 1) over.push(boxes[i].text + ' | ' + boxes[j].text);
}
const found = {overlaps: over, texts: boxes.length, charts: document.querySelectorAll('svg').length,
  wide: document.documentElement.scrollWidth > window.innerWidth + 1,
  loaded: performance.getEntriesByType('resource').map(e => e.name)};
const out = document.createElement('div');
out.id = 'found';
out.textContent = JSON.stringify(found);
document.body.appendChild(out);
</script></body>"""


def chromium(browser, *args):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *flags, f"--user-data-dir={profile}", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=240).stdout


def look(browser, page, width):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    assert "default-src 'none'" in text, f"{page} has no content security policy"
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("<details>", "<details open>")
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "page.html")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(bare.replace("</body>", PROBE))
        dom = chromium(browser, f"--window-size={width},900", "--dump-dom", f"file://{copy}")
        found = re.search(r'<div id="found">(.*?)</div>', dom, re.S)
        assert found, f"{page}: the browser did not run the probe"
        found = json.loads(html.unescape(found.group(1)))
        picture = os.path.join(folder, "page.png")
        chromium(browser, f"--window-size={width},2400", f"--screenshot={picture}", f"file://{os.path.abspath(page)}")
        with open(picture, "rb") as file:
            png = file.read()
        kept = os.environ.get("AUTOANE_SCREENSHOTS")
        if kept:
            with open(os.path.join(kept, f"{os.path.basename(page)}-{width}.png"), "wb") as file:
                file.write(png)
    assert not found["overlaps"], f"{page} at {width}: texts overlap: {found['overlaps'][:5]}"
    assert not found["loaded"], f"{page}: loads {found['loaded']}"
    assert not found["wide"], f"{page} at {width}: wider than the window"
    least = 4 if page.startswith("study") else 5
    assert found["charts"] >= least, f"{page}: {found['charts']} charts"
    size = struct.unpack(">II", png[16:24])
    assert size[0] == width and len(png) > 20_000, f"{page}: the screenshot is {size}, {len(png)} bytes"
    print(f"{page} at {width}: {found['texts']} texts, none over another; {found['charts']} charts; nothing loaded; screenshot {size}")


for name in sys.argv[2:]:
    for width in (1200, 600):
        look(sys.argv[1], name, width)
