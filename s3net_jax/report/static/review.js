// The review page: sort and filter results, mark them, pick clusters, save targets.csv.

const grid = byId('cards');
const state = byId('state');

// While the run continues, the page is loaded again; a person's marks are in the browser. A page
// that stays the same, because the run was killed, is loaded less and less often.
function reloadLater() {
  const box = byId('reload');
  if (state.dataset.status !== 'running' || !box) return;
  let waits = 0;
  try {
    const [at, count, wanted] = JSON.parse(sessionStorage.getItem('s3net-reload') || '["",0,true]');
    waits = at === state.dataset.at ? count + 1 : 0;
    box.checked = wanted;
    const keep = () => sessionStorage.setItem(
      's3net-reload', JSON.stringify([state.dataset.at, waits, box.checked]));
    keep();
    box.addEventListener('change', keep);
  } catch { /* storage is denied: reload at the same pace */ }
  const isBusy = () => !box.checked || $('dialog').some(dialog => dialog.open) || document.hidden
    || ['SELECT', 'TEXTAREA'].includes(document.activeElement.tagName);
  setInterval(() => { if (!isBusy()) location.reload(); }, Math.min(600, 20 * 2 ** waits) * 1000);
}
reloadLater();

const results = grid && {
  cards: $('.card', grid),
  marks: new Marks(grid.dataset.run, () => localStorage),
  colors: grid.dataset.colors.match(/.{6}/g).map(
    hex => [0, 2, 4].map(n => parseInt(hex.slice(n, n + 2), 16))),
  maps: new WeakMap(),

  getMark(card) { return this.marks.get(card.dataset.key); },

  getOwnTarget(card) {
    return card.dataset.target ? card.dataset.target.split(',').map(Number) : [];
  },

  getTarget(card) {
    const {picks} = this.getMark(card);
    return picks || this.getOwnTarget(card);
  },

  isChanged(card) { return this.getMark(card).picks !== null; },

  // Return {labels, width, height}, or null if there is no label map or it can't be unpacked.
  async readMap(card) {
    if (!this.maps.has(card)) {
      const {labels, grid: size} = card.dataset;
      const [width, height] = (size || '0x0').split('x').map(Number);
      const unpacked = labels
        ? unpackLabels(labels, width * height).then(cells => ({labels: cells, width, height}), () => null)
        : Promise.resolve(null);
      this.maps.set(card, unpacked);
    }
    return this.maps.get(card);
  },

  toggle(card, label) {
    if (label >= card.dataset.shares.split(',').length || !card.dataset.labels) return;
    const target = this.getTarget(card);
    const picks = target.includes(label) ? target.filter(n => n !== label) : [...target, label];
    const own = this.getOwnTarget(card);
    const isOwn = picks.length === own.length && own.every(n => picks.includes(n));
    this.change(card, {picks: isOwn ? null : picks});
  },

  // Begin with an empty target; without a pick, the tool's target stays in targets.csv.
  clear(card) {
    if (card.dataset.labels) this.change(card, {picks: []});
  },

  setVerdict(card, verdict) {
    this.change(card, {verdict: this.getMark(card).verdict === verdict ? '' : verdict});
  },

  change(card, mark) {
    this.marks.set(card.dataset.key, mark);
    this.showCard(card);
    this.showCounts();
    viewer.update();
  },

  async showCard(card) {
    const {picks, verdict} = this.getMark(card);
    for (const name of ['good', 'bad']) {
      card.classList.toggle(`is-${name}`, verdict === name);
      $(`.${name}`, card)[0].setAttribute('aria-pressed', verdict === name);
    }
    const words = {good: '✓ good', bad: '✗ bad'};
    const parts = verdict ? [words[verdict]] : [];
    if (picks) parts.push(picks.length ? `label:${picks.join(',')}` : 'no cluster picked');
    $('.mark', card)[0].textContent = parts.join(', ');
    card.classList.toggle('changed', picks !== null);
    $('.picked', card).forEach(lines => lines.remove());
    const map = picks && await this.readMap(card);
    if (!map || this.getMark(card).picks?.join() !== picks.join()) return;
    $('.picked', card).forEach(lines => lines.remove());
    const lines = drawSvg('svg', {class: 'lines picked', preserveAspectRatio: 'none', 'aria-hidden': true});
    drawOutline(lines, map, picks);
    $('.shot', card)[0].append(lines);
  },

  listRows() {
    return this.cards.map(card => ({cell: card.dataset.cell, ...this.getMark(card)}))
      .filter(row => row.picks?.length || row.verdict)
      .sort((a, b) => a.cell < b.cell ? -1 : 1);
  },

  showCounts() {
    const marks = this.cards.map(card => this.getMark(card));
    const count = (name, test) => {
      const number = marks.filter(test).length;
      return number ? [`${number} ${name}`] : [];
    };
    const parts = [
      ...count('good', mark => mark.verdict === 'good'),
      ...count('bad', mark => mark.verdict === 'bad'),
      ...count('with other clusters', mark => mark.picks?.length),
    ];
    byId('counts').textContent = parts.join(', ') || 'nothing marked yet';
    const rows = this.listRows();
    byId('targets').value = rows.length ? formatTargets(rows) : '';
    $('.save').forEach(button => { button.disabled = !rows.length; });
    byId('forget').disabled = !rows.length;
    if (!this.marks.isKept) {
      byId('saved').textContent = 'This browser keeps no marks: save targets.csv before you leave.';
    }
  },

  arrange() {
    const key = byId('sort').value, sign = byId('reversed').checked ? -1 : 1;
    const compareNames = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, {numeric: true});
    const number = {
      // Results without an estimate come last; flagged ones first.
      expected: card => (card.dataset.check ? -2 : 0) + +(card.dataset.expected ?? 2),
      area: card => -card.dataset.area,
      verdict: card => ['bad', '', 'good'].indexOf(this.getMark(card).verdict),
      name: () => 0,
    }[key];
    grid.append(...[...this.cards].sort(
      (a, b) => sign * (number(a) - number(b) || compareNames(a, b))));
    this.cards = $('.card', grid);
    const show = byId('show').value;
    for (const card of this.cards) {
      const {picks, verdict} = this.getMark(card);
      card.hidden = !{
        all: true,
        check: !!card.dataset.check,
        open: !verdict && !picks,
        good: verdict === 'good',
        bad: verdict === 'bad',
        changed: !!picks,
      }[show];
    }
  },

  listShown() { return this.cards.filter(card => !card.hidden); },

  open(card) {
    const shown = this.listShown();
    viewer.open(card, `${shown.indexOf(card) + 1} of ${shown.length}`);
  },

  // Move to the next or previous result, in the viewer if it is open.
  move(from, by) {
    const shown = this.listShown();
    const place = shown.indexOf(from);
    const card = shown[place < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, place + by))];
    if (!card) return;
    if (viewer.card) { this.open(card); return; }
    $('.shot', card)[0].focus();
    card.scrollIntoView({block: 'nearest'});
  },

  save() {
    const rows = this.listRows();
    if (!rows.length) return;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([formatTargets(rows)], {type: 'text/csv'}));
    link.download = 'targets.csv';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    byId('saved').textContent = `Saved ${rows.length === 1 ? '1 row' : `${rows.length} rows`}.`;
  },
};

const viewer = results && new Viewer(results);

if (results) {
  for (const card of results.cards) {
    const shot = $('.shot', card)[0];
    shot.tabIndex = 0;
    shot.setAttribute('role', 'button');
    shot.setAttribute('aria-label', `Enlarge ${card.dataset.name}`);
    results.showCard(card);
  }
  // One listener for all cards, since there may be thousands.
  grid.addEventListener('click', event => {
    const card = event.target.closest('.card');
    if (!card) return;
    const verdict = event.target.closest('.good, .bad');
    if (verdict) results.setVerdict(card, verdict.classList.contains('good') ? 'good' : 'bad');
    else if (event.target.closest('.shot')) results.open(card);
  });
  grid.addEventListener('keydown', event => {
    if ((event.key === 'Enter' || event.key === ' ') && event.target.matches('.shot')) {
      event.preventDefault();
      results.open(event.target.closest('.card'));
    }
  });
  for (const id of ['sort', 'reversed', 'show']) {
    byId(id).addEventListener('change', () => results.arrange());
  }
  $('.save').forEach(button => button.addEventListener('click', () => results.save()));
  byId('forget').addEventListener('click', () => {
    const rows = results.listRows().length;
    if (!confirm(`Forget the marks of ${rows === 1 ? '1 result' : `${rows} results`}?`)) return;
    results.marks.forget(results.cards.map(card => card.dataset.key));
    results.cards.forEach(card => results.showCard(card));
    results.showCounts();
  });
  byId('show-keys').addEventListener('click', () => byId('keys').showModal());
  byId('previous').addEventListener('click', () => results.move(viewer.card, -1));
  byId('next').addEventListener('click', () => results.move(viewer.card, 1));
  byId('clear').addEventListener('click', () => results.clear(viewer.card));
  byId('reset').addEventListener('click', () => results.change(viewer.card, {picks: null}));
  for (const name of ['good', 'bad']) {
    byId(name).addEventListener('click', () => results.setVerdict(viewer.card, name));
  }
  window.addEventListener('storage', event => {
    if (event.key !== results.marks.name) return;
    results.marks.load();
    results.cards.forEach(card => results.showCard(card));
    results.showCounts();
    viewer.update();
  });
  results.arrange();
  results.showCounts();
}

byId('keys-close').addEventListener('click', () => byId('keys').close());

document.addEventListener('keydown', event => {
  const active = document.activeElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (['SELECT', 'TEXTAREA'].includes(active.tagName)) return;
  const {key} = event;
  if (key === '?') {
    if (!byId('keys').open) byId('keys').showModal();
    return;
  }
  if (!results || byId('keys').open) return;
  const card = viewer.card || active.closest('.card');
  const isFree = viewer.card || card || active === document.body;  // not in a box that scrolls
  if (key === 'Escape' && viewer.card) viewer.close();
  else if (key === 'j' || (isFree && key === 'ArrowRight')) results.move(card, 1);
  else if (key === 'k' || (isFree && key === 'ArrowLeft')) results.move(card, -1);
  else if (key === 's') results.save();
  else if (!card) return;
  else if (key === 'g') results.setVerdict(card, 'good');
  else if (key === 'b') results.setVerdict(card, 'bad');
  else if (key === 'c') results.clear(card);
  else if (key === 'r') results.change(card, {picks: null});
  else if (/^[0-9]$/.test(key)) results.toggle(card, +key);
  else return;
  event.preventDefault();
});
