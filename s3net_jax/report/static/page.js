// Interaction of evaluation reports. The page is complete without it.

// Sort the gallery by any score.
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

// Play a film on the cluster panel of its article, one film at a time.
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
  const leave = () => { stop(); show(-1); };
  const play = () => {
    let n = 0;
    quit();
    quit = leave;
    button.textContent = '■ stop';
    show(0);
    timer = setInterval(() => {
      n += 1;
      if (n > figures.length) leave(); else if (n < figures.length) show(n);
    }, 700);
  };
  button.addEventListener('click', () => { if (timer) leave(); else play(); });
  figures.forEach((figure, n) => $('img', figure)[0].addEventListener('click', () => {
    const again = figure.classList.contains('now');
    quit();
    quit = leave;
    show(again ? -1 : n);
  }));
}

// Enlarge a gallery picture on click.
const large = document.createElement('dialog');
large.className = 'large';
large.addEventListener('click', () => large.close());
document.body.append(large);
for (const shot of $('.gallery .shot')) {
  const open = () => {
    const image = shot.querySelector('img');
    large.style.setProperty('--shape', image.width / image.height);
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
