"""A calibration as one HTML file, readable without a network."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files
from pathlib import Path

from nlrl.scaling.calibrate import Calibration
from nlrl.scaling.tables import tables


def save_page(done: Calibration, path: Path, picture: Path) -> Path:
    """Write the page; the picture beside it, if there is one, goes into it."""
    style = (files("nlrl.report") / "assets" / "page.css").read_text("utf-8")
    policy, source = done.policy, done.policy.provenance
    facts = {"model": policy.model, "problems": str(len(done.problems)), "verifier": policy.verifier}
    if source is not None:
        facts |= {
            "data": source.source,
            "samples per problem": str(source.samples),
            "probe": f"{policy.probe} attempts" if policy.probe else "none",
            "made": f"{source.created} by nlrl {source.nlrl}, samples {source.bank}",
        }
    body = ["<dl>", *(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()), "</dl>"]
    body += [f"<p><strong>{escape(note)}</strong></p>" for note in policy.notes]
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode()
        body.append(f'<p><img alt="Curves; the tables below hold the same" src="data:image/png;base64,{data}"></p>')
    for title, columns, rows in tables(done):
        head = "".join(f"<th>{escape(c)}</th>" for c in columns)
        lines = "".join("<tr>" + "".join(f"<td>{escape(v)}</td>" for v in row) + "</tr>" for row in rows)
        body.append(f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>")
    body.append(
        '<p class="soft">Accuracies in %, with 95 % intervals over problems. Tokens are means per problem: '
        "prompts, probes, attempts and verification. The policy's figures are two-fold cross-validated.</p>"
    )
    path.write_text(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(policy.model)}: nlrl calibration</title><style>{style} img {{ max-width: 100%; }}</style></head>
<body><header><h1>What pays where</h1></header><main>{"".join(body)}</main></body></html>
""",
        encoding="utf-8",
        errors="replace",
    )
    return path
