"""The site builds without a warning, and shows every public name and every option."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import s3net_jax
import s3net_kernels

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip("the site is built where the extra docs is installed")
    out = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "SITE_URL": "", "REPO_URL": ""}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def read_pages(site: Path) -> dict[str, str]:
    return {str(p.relative_to(site)): p.read_text() for p in site.rglob("*.html")}


@pytest.mark.slow
def test_pages_load_nothing_from_other_hosts(site):
    loaded = re.compile(r'(?:<(?:script|img|iframe)[^>]*\ssrc|<link[^>]*\shref)="(https?:)?//')
    assert [page for page, text in read_pages(site).items() if loaded.search(text)] == []


def test_no_page_names_an_address_of_the_project(site):
    # The project has no address yet; SITE_URL and REPO_URL are the places to set one.
    named = re.compile(r"https?://(?:www\.)?[\w.-]*(?:github|gitlab|readthedocs)[\w./-]*s3net")
    assert [page for page, text in read_pages(site).items() if named.search(text)] == []


def test_command_reference_has_every_option(site):
    from s3net_jax.cli import arguments

    page = (site / "command/index.html").read_text()
    _, commands = arguments._make_parser()
    for name, parser in commands.items():
        assert f'id="s3net-{name}"' in page
        for action in parser._actions:
            for option in action.option_strings:
                assert f"<code>{option}" in page


def test_docstrings_show_no_roles(site):
    role = re.compile(r":(?:class|data|exc|func|meth|mod):")
    assert [p for p, t in read_pages(site).items() if p.startswith("api/") and role.search(t)] == []


@pytest.mark.slow
def test_links_to_sources_follow_the_variable(site, tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "REPO_URL": "https://example.org/x"}
    code = "import sys; from mkdocs.__main__ import cli; cli()"
    out = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-c", code, "build", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    page = "experiments/index.html"
    assert "https://example.org/x/blob/main/experiments" in (out / page).read_text()
    assert "blob/main" not in (site / page).read_text()


def documented() -> str:
    return "\n".join(path.read_text() for path in (DOCS / "api").glob("*.md"))


@pytest.mark.parametrize("package", [s3net_jax, s3net_kernels], ids=lambda p: p.__name__)
def test_every_public_name_is_documented(package):
    pages = documented()
    missing = [
        name
        for name in package.__all__
        if name not in ("__version__", "IMPLEMENTATIONS", "OPERATORS")
        and not re.search(rf"^::: {package.__name__}\.(?:[\w.]+\.)?{name}$", pages, re.MULTILINE)
    ]
    assert missing == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 750


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "kernels/README.md"]
)
def test_links_of_documents_lead_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    files = [link for link in links if "://" not in link]
    assert files and [link for link in files if not (page.parent / link).exists()] == []


def test_citation_names_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_pictures_are_small():
    large = [p for p in (DOCS / "images").rglob("*.*") if p.stat().st_size > 200_000]
    assert large == []


def test_gallery_names_the_source_of_every_picture():
    page = (DOCS / "gallery.md").read_text()
    for path in (DOCS / "images/gallery").iterdir():
        assert f"images/gallery/{path.name}" in page
    assert page.count("*Source: ") == len(list((DOCS / "images/gallery").iterdir()))
