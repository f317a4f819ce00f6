"""The guides in docs/, as GitHub reads them: sections, their anchors, links."""

import re

from stack import REPOSITORY

FILES = sorted((REPOSITORY / "docs").glob("*.md"))
# With them, the other texts that link to sections.
LINKING = [*FILES, *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))]


def guide(name):
    return (REPOSITORY / f"docs/{name}.md").read_text()


def all_guides():
    return "\n".join(file.read_text() for file in FILES)


def headings(text):
    """(level, title) of each section. A comment in a block of code is none."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)]


def anchor(title):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(text):
    return {anchor(title) for _, title in headings(text)}


def links(text):
    """(file, anchor) of each link to a file here, either of them empty."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.partition("#")[::2] for target in targets if not target.startswith("http")]


def contents(text):
    """(level, title, anchor) of each line in the list of links that comes first."""
    listed = re.search(r"(?:^ *- \[.*\]\(#.*\).*\n)+", text, re.MULTILINE)
    lines = re.findall(r"^( *)- \[(.+)\]\(#(.+)\)", listed[0], re.MULTILINE) if listed else []
    return [(2 + len(indent) // 2, title, target) for indent, title, target in lines]
