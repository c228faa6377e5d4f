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
let quit = () => {};
for (const reel of $('.reel')) {
  const screen = $('.screen', reel.closest('article'))[0];
  const button = $('.play', reel)[0];
  const figures = $('.frames figure', reel);
  const caption = screen.closest('figure').querySelector('figcaption');
  const home = {src: screen.src, text: caption.textContent};
  let timer = 0;
  const show = n => {
    $('.now', reel.closest('article')).forEach(figure => figure.classList.remove('now'));
    const figure = figures[n];
    screen.classList.toggle('playing', !!figure);
    screen.src = figure ? $('img', figure)[0].src : home.src;
    caption.textContent = figure ? $('img', figure)[0].alt : home.text;
    if (!figure) return;
    figure.classList.add('now');
    const box = figure.parentElement;
    box.scrollLeft = figure.offsetLeft - box.offsetLeft - box.clientWidth / 2 + 50;
  };
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = '▶ play'; };
  const play = () => {
    let n = 0;
    quit();
    quit = stop;
    button.textContent = '■ stop';
    show(0);
    timer = setInterval(() => {
      n += 1;
      if (n > figures.length) { stop(); show(-1); } else if (n < figures.length) show(n);
    }, 700);
  };
  button.addEventListener('click', () => { if (timer) { stop(); show(-1); } else play(); });
  figures.forEach((figure, n) => $('img', figure)[0].addEventListener('click', () => {
    const again = figure.classList.contains('now');
    quit();
    show(again ? -1 : n);
  }));
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
