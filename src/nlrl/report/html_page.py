"""The frame of a run's HTML file: its settings, its picture, and whatever stands below them.

All text must come escaped; the page's policy allows no script at all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from nlrl.core.kept_files import write_whole


def write_page(
    path: Path, title: str, kind: str, facts: Mapping[str, str], picture: Path | None, body: Sequence[str]
) -> Path:
    """Write the page and return its path; the picture, a learning curve, goes into it. Only `body` is HTML."""
    style = (files("nlrl.report") / "assets" / "page.css").read_text("utf-8")
    head = ['<dl class="settings">', *(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()), "</dl>"]
    if picture is not None:
        data = base64.b64encode(picture.read_bytes()).decode()
        head.append(f'<p><img alt="Learning curve; the table holds the same" src="data:image/png;base64,{data}"></p>')
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}: {escape(kind)}</title><style>{style} img {{ max-width: 100%; }}</style></head>
<body><header><h1>{escape(title)}</h1></header><main>{"".join([*head, *body])}</main></body></html>
"""
    write_whole(path, page.encode("utf-8", "replace"))
    return path
