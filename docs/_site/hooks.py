"""MkDocs hooks: pages written from the sources, and links between the repository's documents.

The repository's own documents (CONTRIBUTING.md, CHANGELOG.md, benchmarks/README.md, ...) are pages
of the site too. Their links are written for readers of the repository, so they are redirected to
pages of the site; a link to a source file becomes plain text unless REPO_URL is set.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from command_page import command_page, presets_table
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import notebook_page

ROOT = Path(__file__).parents[2]

_COPIES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks/method.md",
    "benchmarks/torch_reference/README.md": "benchmarks/torch-reference.md",
    "examples/README.md": "examples/scripts.md",
}
"""Document of the repository → page of the site."""
_INSTEAD = {"README.md": "index.md", "kernels/README.md": "kernels.md"}
"""Document of the repository → page that says the same, if any."""
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`(?!\]\())", re.MULTILINE | re.DOTALL)
_origins: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    if str(ROOT) not in sys.path:  # MkDocs takes back what is added while it loads the hook
        sys.path.insert(0, str(ROOT))
    pages: dict[str, str | bytes] = {"command.md": command_page()}
    for source, page in _COPIES.items():
        pages[page] = (ROOT / source).read_text(encoding="utf-8")
        _origins[page] = source
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        page = f"examples/{path.stem}.md"
        pages[page], pictures = notebook_page(path)
        _origins[page] = f"examples/{path.name}"
        pages.update({f"examples/{name}": content for name, content in pictures.items()})
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Redirect links, and fill in what is written from the sources."""
    markdown = markdown.replace("<!-- presets -->", presets_table())
    here = page.file.src_uri
    origin = _origins.get(here, f"docs/{here}")

    def redirect(match: re.Match[str]) -> str:
        text, (target, mark, anchor) = match[1], match[2].partition("#")
        if not target or "://" in target or target.startswith(("mailto:", "<")):
            return match[0]
        source = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        uri = _INSTEAD.get(source, _COPIES.get(source))
        if uri is None and source.startswith("docs/"):
            uri = source.removeprefix("docs/")
        if uri is None and source.endswith(".ipynb"):
            uri = f"{source.removesuffix('.ipynb')}.md"
        if uri and files.get_file_from_path(uri):
            path = posixpath.relpath(uri, posixpath.dirname(here) or ".")
            return f"[{text}]({path}{mark}{anchor})"
        if not (ROOT / source).exists():
            return match[0]  # MkDocs reports it
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{source})"
        return text

    # Code is left as it is: what looks like a link there is an index and a call.
    parts = _CODE.split(markdown)
    return "".join(p if i % 2 else _LINK.sub(redirect, p) for i, p in enumerate(parts))
