"""What comments, texts and links of this repository point to is in this repository, under the name and number they use.

A citation is `docs/facts.md`, with the number of a section behind it (`docs/facts.md 4.3`) or an anchor
(`prometheus/README.md#alerts`). It is relative to the repository; a link in Markdown is relative to its file.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

MADE_BY_TOOLS = re.compile(r"\.(?!ci$).*|venv|build|dist|node_modules|__pycache__|.*\.egg-info")

CITATION = re.compile(
    r"(?<![\w/.-])(?<!\]\()(?P<path>(?:docs|ansible|grafana|prometheus|systemd)/(?:[\w-]+/)*[\w-]+\.md)"
    r"(?:#(?P<anchor>[\w-]+))?"
    # A line of a comment may end between the name and the number.
    r"(?P<numbers>\s+(?:# )?\d+(?:\.\d+)*(?:(?:, | and )\d+(?:\.\d+)*)*)?"
)
LINK = re.compile(r"\]\((?![a-z]+:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")

# What these documents were called before they were part of the repository.
OLD = "EDGE|SONNEN[_]API|METRICS|DESIGN|CLI|DASHBOARDS|GRAFANA|DEPLOY|FAULTS"
OLD_NAME = re.compile(rf"\bSONNEN[_]API\b|\b(?:{OLD})\.md\b|\b(?:{OLD}) \d|(?<!\w)\((?:{OLD})[,)]")


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the text files below a folder, but for what tools have made."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not MADE_BY_TOOLS.fullmatch(name))
        for path in (Path(folder, name) for name in sorted(names)):
            # A worktree's .git is a file. What is made of data, dashboards, cites nothing.
            if path.name != ".git" and path.suffix not in (".json", ".png") and path.is_file():
                try:
                    yield path, path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def headings(document: Path) -> list[str]:
    """Return the headings of a Markdown file; a comment in a block of code is none."""
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ +(.+?) *$", prose, flags=re.MULTILINE)


def numbers_of(document: Path) -> set[str]:
    """Return the numbers of its sections: `## 5. …` and `### 5.2 …`."""
    found = (re.match(r"(\d+(?:\.\d+)*)\.? ", heading) for heading in headings(document))
    return {match[1] for match in found if match}


def anchors_of(document: Path) -> set[str]:
    """Return the anchors that a page of the repository gives to its headings."""
    plain = (re.sub(r"[^\w -]", "", heading.lower()) for heading in headings(document))
    return {heading.replace(" ", "-") for heading in plain}


def broken(root: Path, path: Path, text: str) -> Iterator[str]:
    """Yield what a file of a repository cites or links to that is not there."""
    where = path.relative_to(root)
    for cited in CITATION.finditer(text):
        document = root / cited["path"]
        numbers = re.findall(r"\d+(?:\.\d+)*", cited["numbers"] or "")
        if not document.is_file():
            yield f"{where} cites {cited['path']}, which is not there"
        elif missing := [number for number in numbers if number not in numbers_of(document)]:
            yield f"{where} cites {cited['path']} {', '.join(missing)}, which has no such section"
        elif cited["anchor"] and cited["anchor"] not in anchors_of(document):
            yield f"{where} cites {cited['path']}#{cited['anchor']}, which has no such heading"
    for link in LINK.finditer(text) if path.suffix == ".md" else ():
        target = path.parent / link["path"] if link["path"] else path
        if not target.exists():
            yield f"{where} links to {link['path']}, which is not there"
        elif link["anchor"] and (target.suffix != ".md" or link["anchor"] not in anchors_of(target)):
            yield f"{where} links to {link['path']}#{link['anchor']}, which has no such heading"


def all_broken(root: Path) -> list[str]:
    return [fault for path, text in texts(root) for fault in broken(root, path, text)]


def old_names(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{number} cites {found[0]!r}"
        for path, text in texts(root)
        for number, line in enumerate(text.splitlines(), 1)
        for found in OLD_NAME.finditer(line)
    ]


def test_every_document_that_is_cited_has_the_section_that_is_cited() -> None:
    assert all_broken(REPOSITORY) == []


def test_no_file_cites_a_document_that_is_not_part_of_the_repository() -> None:
    assert old_names(REPOSITORY) == []


def test_every_kind_of_file_is_looked_at() -> None:
    looked_at = {str(path.relative_to(REPOSITORY)) for path, _ in texts(REPOSITORY)}
    assert looked_at >= {
        "README.md",
        "docs/facts.md",
        "agent/sonnen_agent/transport.py",
        "roles/sonnen_agent/defaults/main.yml",
        "scripts/check",
        ".ci/run",
        "systemd/sonnen-agent.service",
        "tests/test_citations.py",
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one document."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "docs/facts.md").write_text(
        "# Facts\n\n## 4. Remote write\n\n### 4.3 What it answers, and why\n\n```bash\n## 7. no heading\n```\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""One bad sample spoils all ({facts} 4.3)."""'),
        ("a.py", '"""See {facts} 4, rule 7, and {facts} 4 and 4.3."""'),
        ("a.py", "# A comment that is longer than its line: {facts}\n# 4.3 says why."),
        ("a.service", "# Why: {facts}"),
        ("a.yml", "url: {facts}#43-what-it-answers-and-why"),
        ("a.md", "[facts]({facts}), [why]({facts}#43-what-it-answers-and-why), [here](#top)\n# Top\n"),
        ("a.md", "[elsewhere](https://example.org/{facts}/nothing.md#nothing)"),
        ("below/a.md", "[the same](../{facts}#4-remote-write), [folder](../docs)"),
    ],
)
def test_what_is_there_may_be_cited(repository: Path, name: str, text: str) -> None:
    (repository / name).write_text(text.replace("{facts}", "docs" + "/facts.md"))

    assert all_broken(repository) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.py", '"""{docs}/nothing.md"""', "a.py cites docs/NOTHING, which is not there"),
        ("a.py", '"""({docs}/facts.md 4.4)"""', "a.py cites docs/FACTS 4.4, which has no such section"),
        ("a.py", '"""({docs}/facts.md 4, 5.1 and 6)"""', "a.py cites docs/FACTS 5.1, 6, which has no such section"),
        ("a.py", "# {docs}/facts.md\n# 5 says", "a.py cites docs/FACTS 5, which has no such section"),
        ("run", "# {docs}/facts.md 7", "run cites docs/FACTS 7, which has no such section"),
        ("a.service", "# {docs}/facts.md#why", "a.service cites docs/FACTS#why, which has no such heading"),
        ("a.md", "[a]({docs}/b.txt)", "a.md links to docs/b.txt, which is not there"),
        ("below/a.md", "[a](../{docs}/facts.md#b)", "below/a.md links to ../docs/FACTS#b, which has no such heading"),
        ("a.md", "[a](#nothing)", "a.md links to #nothing, which has no such heading"),
    ],
)
def test_what_is_not_there_is_told(repository: Path, name: str, text: str, fault: str) -> None:
    (repository / name).write_text(text.replace("{docs}", "docs"))

    expected = fault.replace("NOTHING", "nothing.md").replace("FACTS", "facts.md")
    assert all_broken(repository) == [expected]


@pytest.mark.parametrize(
    "cited", ["EDGE{} 4.3", "SONNEN{}_API", "(METRICS{})", "METRICS{}.md's", "(DESIGN{}, scheduler)", "CLI{}.md"]
)
def test_an_old_name_is_told(repository: Path, cited: str) -> None:
    (repository / "a.py").write_text(f"# A comment.\n# Why: {cited.replace('{}', '')}\n")

    (told,) = old_names(repository)

    assert told.startswith("a.py:2 cites ")


@pytest.mark.parametrize("code", ["GRAFANA = 1", "sorted(DASHBOARDS)", "STATUS_METRICS = {}", "WATER_EDGE", "a CLI"])
def test_a_name_of_the_code_is_no_old_name(repository: Path, code: str) -> None:
    (repository / "a.py").write_text(code)

    assert old_names(repository) == []
