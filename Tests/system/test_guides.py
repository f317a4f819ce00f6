"""The guides hold together: every link leads to a section, and every contents list has all sections."""

import json
import re

import pytest
from guides import FILES, LINKING, anchor, anchors, contents, guide, headings, links
from stack import REPOSITORY

NAMING_SECTIONS = [file for place in ("ops", "nginx", "sql", "page", "Sources") for file in (REPOSITORY / place).rglob("*")
                   if file.suffix in {".yml", ".toml", ".service", ".socket", ".timer", ".conf", ".sql", ".swift", ".mustache"}]


def dead(file, targets):
    """Those of the links in a file that lead nowhere."""
    for name, section in targets:
        target = file.parent / name if name else file
        if not target.exists() or section and section not in anchors(target.read_text()):
            yield f"{file.name}: {name}#{section}"


@pytest.mark.parametrize("file", LINKING, ids=lambda file: file.name)
def test_every_link_leads_to_a_section(file):
    assert list(dead(file, links(file.read_text()))) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_guide_begins_with_the_list_of_its_sections(file):
    text = file.read_text()
    sections = [(level, title) for level, title in headings(text) if level > 1]
    listed = contents(text)
    assert [(level, target) for level, _, target in listed] == [(level, anchor(title)) for level, title in sections]
    # A report's heading goes on with its question.
    assert [title for _, title, _ in listed if title not in {part for _, whole in sections for part in (whole, whole.split(": ")[0])}] == []
    assert text.index(f"](#{listed[0][2]})") < text.index("\n## ")


# Two headings of one name would have anchors that GitHub numbers.
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_two_sections_of_a_guide_have_one_name(file):
    titles = [anchor(title) for _, title in headings(file.read_text())]
    assert sorted(set(titles)) == sorted(titles)


# ExpiryWarning, the units' Documentation=, the alerts' runbook.
def test_every_section_that_a_program_or_unit_names_is_there():
    named = [(file, name, section) for file in NAMING_SECTIONS
             for name, section in re.findall(r"(?:/usr/share/doc/shacache|\bdocs)/(\w+\.md)(?:#([\w-]+))?", file.read_text())]
    assert len({name for _, name, _ in named}) >= 4
    assert [link for file, name, section in named for link in dead(REPOSITORY / "docs" / file.name, [(name, section)])] == []


def test_every_guide_is_named_in_the_readme():
    named = {name for name, _ in links((REPOSITORY / "README.md").read_text())}
    assert {f"docs/{file.name}" for file in FILES} <= named


def test_each_report_has_a_section_in_the_guide(stack):
    listed = [row["report"] for row in json.loads(stack.admin("report", "--json").stdout)]
    titles = [title for level, title in headings(guide("report")) if level == 3]
    named = [name for title in titles for name in re.findall(r"`(?:report\.)?(\w[\w-]*)`", title.split(": ")[0])]
    assert sorted(name.replace("_", "-") for name in named) == sorted(listed)
