"""What mkdocs needs to make a site of these pages: an order, a first page, and the sources they point to.

The pages are written to be read in a checkout: they link to modules and examples. On the site each file
that a page links to has a page of its own, so that no link leads away or nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")
"""A link to a file outside the folder of the pages."""

FROM_README = re.compile(r"\]\((?!https?:|#)(?:docs/)?([^)#]+)")
LANGUAGES = {".py": "python", ".yml": "yaml", ".json": "json"}

NAV = {
    "Tutorial": ["tutorial"],
    "How to": [
        "howto-scenario", "own-variant", "howto-oracle", "howto-strategy", "howto-pytest",
        "howto-hypothesis", "howto-ci", "fuzzing", "reading-a-failure",
        "timeline", "debugging", "recording",
    ],
    "Reference": ["cli", "ioctls", "invariants", "defects", "kernels", "programs", "log-format"],
    "Design": [
        "design", "findings", "fidelity", "linearizability", "planted", "matrix", "clients", "the-patch",
    ],
}  # fmt: skip
"""Section -> its pages, in order; what is named nowhere follows at the end."""


def on_config(config: Any) -> Any:
    """Put the pages in order."""
    pages = {path.stem for path in Path(config["docs_dir"]).glob("*.md")}
    nav: list[dict[str, Any]] = [{"tcemu": "index.md"}]
    for section, names in NAV.items():
        nav.append({section: [f"{name}.md" for name in names if name in pages]})
    others = sorted(pages - {name for names in NAV.values() for name in names})
    config["nav"] = nav + ([{"More": [f"{name}.md" for name in others]}] if others else [])
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the first page, and a page for each file that is linked to."""
    readme = FROM_README.sub(from_readme, (ROOT / "README.md").read_text(encoding="utf-8"))
    files.append(File.generated(config, "index.md", content=readme))
    texts = [readme.replace("](source/", "](../").replace(".md)", ")")]
    texts += [path.read_text(encoding="utf-8") for path in Path(config["docs_dir"]).glob("*.md")]
    linked = {target.rstrip("/") for text in texts for target in OUTSIDE.findall(text)}
    for target in sorted(linked):
        if (ROOT / target).exists():
            files.append(File.generated(config, page_of(target), content=source_page(target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead links to files to their pages."""
    return OUTSIDE.sub(lambda link: f"]({page_of(link[1].rstrip('/'))}", markdown)


def page_of(target: str) -> str:
    """The page of a file or folder, by its path from the root of the checkout."""
    return f"source/{PurePosixPath(target)}.md"


def source_page(target: str) -> str:
    """A file, or what is in a folder."""
    path = ROOT / target
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir() if not each.name.startswith(("_", ".")))
        return f"# {target}\n\n" + "".join(f"- `{name}`\n" for name in names)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {target}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def from_readme(link: re.Match[str]) -> str:
    """A link of the README as the first page has it."""
    target = link[1]
    return f"]({target}" if (ROOT / "docs" / target).exists() else f"]({page_of(target)}"
