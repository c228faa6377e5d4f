"""What a page can do beyond being read. Everything is there without it, too."""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = """
document.documentElement.classList.add('scripted');
const $ = (selector, root = document) => [...root.querySelectorAll(selector)];
const sort = document.getElementById('sort');
if (sort) {
  const worst = document.getElementById('worst-first');
  const grid = document.getElementById('gallery');
  const order = () => {
    const key = sort.value, sign = worst.checked ? 1 : -1;
    const compare = key === 'name'
      ? (a, b) => -sign * a.dataset.name.localeCompare(b.dataset.name, undefined, {numeric: true})
      : (a, b) => sign * (a.dataset[key] - b.dataset[key]);
    grid.append(...$('figure', grid).sort(compare));
    for (const figure of $('figure', grid)) {
      if (key !== 'name') $('.score', figure)[0].textContent = (+figure.dataset[key]).toFixed(1);
    }
  };
  sort.addEventListener('change', order);
  worst.addEventListener('change', order);
}
const large = document.createElement('dialog');
large.className = 'large';
large.addEventListener('click', () => large.close());
document.body.append(large);
for (const shot of $('.gallery .shot')) {
  const open = () => {
    large.replaceChildren(shot.closest('figure').cloneNode(true));
    large.showModal();
  };
  shot.tabIndex = 0;
  shot.setAttribute('role', 'button');
  shot.addEventListener('click', open);
  shot.addEventListener('keydown', event => {
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); open(); }
  });
}
"""
