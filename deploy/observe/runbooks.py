"""docs/runbooks.md as a page beside the consoles, with an address for each section."""

from html import escape
from itertools import pairwise

from markdown_it import MarkdownIt

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Runbooks</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../../console.css">
</head>
<body>
<header>
<nav>
<a href="/consoles/service.html">Dashboards</a>
<a href="/classic/alerts">Alerts</a>
<a href="." aria-current="page">Runbooks</a>
</nav>
</header>
<main>
<p>{links}</p>
<article>{content}</article>
</main>
</body>
</html>
"""


def page(markdown: str) -> str:
    """Return the page; a heading's address is its words, as in the source's own viewer."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    links = []
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            title = following.content
            token.attrSet("id", title.lower().replace(" ", "-"))
            if token.tag == "h2":
                links.append(f'<a href="#{token.attrGet("id")}">{escape(title)}</a>')
        for each in token.children or ():
            # The files of the repository are not beside this page.
            if not str(each.attrGet("href") or "#").startswith(("#", "http")):
                del each.attrs["href"]
    content = parser.renderer.render(tokens, parser.options, {})
    return _PAGE.format(links=" · ".join(links), content=content)
