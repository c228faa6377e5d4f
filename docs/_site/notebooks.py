"""Notebooks as pages: their text, code and stored output. Nothing is executed here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

__all__ = ["notebook_page"]


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Convert a notebook to a page.

    Args:
      path: the notebook, executed, with its output.

    Returns:
      The Markdown, and the page's pictures (name → PNG bytes), which belong beside the page.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        text = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and text:
            parts.append(f"```python\n{text}\n```")
            for output in cell["outputs"]:
                parts.append(_output(output, path.stem, pictures))
    parts.append(f"*This page is the notebook `examples/{path.name}`, with its output.*")
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        # The code above the picture says what it shows, and the text around it what to see.
        return f"![output of the code above]({name})"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
