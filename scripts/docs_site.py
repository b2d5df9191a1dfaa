"""What `mkdocs build` needs besides mkdocs.yml: pages that stand beside docs/, with links that fit there.

README, CONTRIBUTING, CHANGELOG, LICENSE and the notebooks stay where readers of the repository look for them. In the
site the README is the first page, and a notebook is a page with the outputs that are kept in it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from jinja2 import DictLoader
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from traitlets.config import Config

# Path in the repository -> path in the site.
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "LICENSE": "LICENSE",
    "notebooks/shop.ipynb": "notebooks/shop.md",
    "notebooks/paper.ipynb": "notebooks/paper.md",
}

# What a cell prints, with a class of its own, so that it does not look like the cell; pictures open in full size.
# Results are as in a terminal: their tables of HTML bring styles that know nothing of the site's, light or dark.
OUTPUT = """{% extends 'markdown/index.md.j2' %}
{% block stream %}

``` { .text .output }
{{ output.text.strip("\n") }}
```
{% endblock stream %}
{% block data_text %}

``` { .text .output }
{{ output.data["text/plain"].strip("\n") }}
```
{% endblock data_text %}
{% block data_png %}
{% set picture = output.metadata.filenames["image/png"] | path2url %}

[![What the cell draws]({{ picture }})]({{ picture }})
{% endblock data_png %}"""

FORMS = Config({"NbConvertBase": {"display_data_priority": ["image/png", "text/plain"]}})

LINK = re.compile(r"(?P<before>\]\()(?![a-z]+:|#)(?P<path>[^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand beside docs/."""
    root = Path(config.config_file_path).parent
    for path, place in BESIDE.items():
        if path.endswith(".ipynb"):
            for name, content in notebook_page(root / path).items():
                files.append(File.generated(config, posixpath.join(posixpath.dirname(place), name), content=content))
            continue
        text = (root / path).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text, "", "") if place.endswith(".md") else text))
    return files


def notebook_page(path: Path) -> dict[str, str | bytes]:
    """Turn a notebook into a page with its pictures, by name; the notebook itself lies beside them.

    Parameters
    ----------
    path : Path
        In a folder of the repository's top.
    """
    name, folder = path.stem, path.parent.name
    resources = {"unique_key": name, "output_files_dir": f"{name}_files"}
    loaders = [DictLoader({"output.md.j2": OUTPUT})]
    exporter = MarkdownExporter(config=FORMS, extra_loaders=loaders, template_file="output.md.j2")
    markdown, resources = exporter.from_filename(str(path), resources)
    title, text = relinked(markdown, folder, folder).split("\n", maxsplit=1)
    here = f"{title}\n\nThis page is a notebook as it ran: [{path.name}]({path.name}).\n{text}"
    return {f"{name}.md": here, path.name: path.read_bytes(), **resources["outputs"]}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of docs/ into links within the site."""
    if page.file.src_uri in BESIDE.values():
        return markdown
    folder = posixpath.dirname(page.file.src_uri)
    return relinked(markdown, posixpath.join("docs", folder), folder)


def relinked(markdown: str, folder: str, place: str) -> str:
    """Rewrite links relative to a folder of the repository so that they fit the site, where docs/ is the top.

    Parameters
    ----------
    markdown : str
    folder : str
        Folder of the page in the repository, ``""`` for its top.
    place : str
        Folder of the page in the site.
    """

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link["path"]))
        target = BESIDE.get(path, path.removeprefix("docs/"))
        return link["before"] + posixpath.relpath(target, place or ".")

    return LINK.sub(moved, markdown)
