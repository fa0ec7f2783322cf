"""Chromium over a page: how wide it is, what it asks for, what it complains about."""

import os
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")


def chromium(folder, target, *options):
    """Run the browser once, on a fresh profile, every host name unresolvable; its log."""
    profile = folder / "profile"
    finished = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--enable-logging=stderr",
            f"--user-data-dir={profile}", *options, target.resolve().as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    shutil.rmtree(profile, ignore_errors=True)
    return finished


def complaints(log):
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def framed(folder, report, width):
    """A page that holds the report in a frame of this width and says how wide its contents are."""
    frame = folder / "frame.html"
    frame.write_text(
        f"""<body style="margin:0"><iframe src="{report.resolve().as_uri()}"
 style="width:{width}px;height:900px;border:0">
</iframe><p id="found"></p><script>
document.querySelector("iframe").onload = event => {{
  const inner = event.target.contentDocument, root = inner.documentElement;
  const clipped = [...inner.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > {width});
  document.getElementById("found").textContent = [root.scrollWidth, inner.querySelectorAll("svg").length,
    clipped.length, getComputedStyle(inner.body).fontSize, getComputedStyle(inner.body).backgroundColor,
    inner.defaultView.performance.getEntriesByType("resource").length].join("|");
}};
</script></body>"""
    )
    return frame


def measured(tmp_path, report, width, *options):
    finished = chromium(tmp_path, framed(tmp_path, report, width), "--dump-dom", "--virtual-time-budget=4000", *options)
    found = re.search(r'<p id="found">([^<]*)</p>', finished.stdout)
    assert found, finished.stderr
    assert complaints(finished.stderr) == []
    return found.group(1).split("|")
