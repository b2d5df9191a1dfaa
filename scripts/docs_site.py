"""What `mkdocs build` needs besides mkdocs.yml: pages that stand beside docs/, with links that fit there.

README, CONTRIBUTING, CHANGELOG and LICENSE stay where readers of the repository look for them. In the site the README
is the first page.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Path in the repository -> path in the site.
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "LICENSE": "LICENSE",
}

LINK = re.compile(r"(?P<before>\]\()(?![a-z]+:|#)(?P<path>[^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand beside docs/."""
    root = Path(config.config_file_path).parent
    for path, place in BESIDE.items():
        text = (root / path).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text, "") if path.endswith(".md") else text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of docs/ into links within the site."""
    is_beside = page.file.src_uri in BESIDE.values()
    return markdown if is_beside else relinked(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))


def relinked(markdown: str, folder: str) -> str:
    """Rewrite links relative to a folder of the repository so that they fit the site, where docs/ is the top.

    Parameters
    ----------
    markdown : str
    folder : str
        Folder of the page in the repository, ``""`` for its top.
    """

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link["path"]))
        place = BESIDE.get(path, path.removeprefix("docs/"))
        here = posixpath.relpath(folder, "docs") if folder else "."
        return link["before"] + posixpath.relpath(place, here)

    return LINK.sub(moved, markdown)
