"""One self-contained HTML page: text, tables, charts. Opens without a network."""

import html
from collections.abc import Sequence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 56rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.legend span { margin-right: 1.2rem; font-size: .85rem; white-space: nowrap; }
.legend i { display: inline-block; width: .9rem; height: .9rem; margin-right: .35rem;
  vertical-align: -2px; }
.answer { background: #eef6fa; padding: .8rem 1rem; border-left: 4px solid #0b6e99; }
.bad { color: #b00020; font-weight: 600; } .note { color: #555; font-size: .9rem; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: .85rem; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return the page; `parts` are HTML already."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{text(title)}</h1>",
            *parts,
            "</body></html>",
            "",
        ]
    )


def heading(words: str) -> str:
    """Return a heading."""
    return f"<h2>{text(words)}</h2>"


def paragraph(words: str, kind: str = "") -> str:
    """Return a paragraph of the class `kind`: answer, note, bad, or none."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def quote(words: str) -> str:
    """Return text as it is, in columns."""
    return f"<pre>{text(words)}</pre>"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text(words: str) -> str:
    """Return words that HTML shows as they are."""
    return html.escape(words, quote=True)
