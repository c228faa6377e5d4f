// One result enlarged: the picture with its mask, and the clusters with their numbers.

const byId = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const MOST_CHIPS = 40;  // clusters with a button; smaller ones can be picked on the label map

function drawSvg(tag, attributes, text = '') {
  const item = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) item.setAttribute(name, value);
  item.textContent = text;
  return item;
}

function drawOutline(svg, map, picks) {
  const d = tracePicks(map, picks);
  svg.setAttribute('viewBox', `0 0 ${map.width} ${map.height}`);
  const group = drawSvg('g', {class: 'mask'});
  group.append(drawSvg('path', {class: 'halo', d}), drawSvg('path', {d}));
  svg.replaceChildren(group);
}

function paint(canvas, map, color) {
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(map.width, map.height);
  map.labels.forEach((label, n) => pixels.data.set(color(label), 4 * n));
  context.putImageData(pixels, 0, 0);
}

// `results` answers: colors, getTarget(card), isChanged(card), readMap(card), toggle(card, label).
class Viewer {
  constructor(results) {
    this.results = results;
    this.box = byId('viewer');
    this.card = null;
    byId('viewer-close').addEventListener('click', () => this.close());
    this.box.addEventListener('click', event => {
      if (event.target === this.box) this.close();
    });
    this.box.addEventListener('close', () => this.close());  // a phone's back gesture
    $('canvas', byId('clusters'))[0].addEventListener('click', event => {
      if (!this.map) return;
      const {left, top, width, height} = event.target.getBoundingClientRect();
      const x = Math.min(Math.floor((event.clientX - left) / width * this.map.width), this.map.width - 1);
      const y = Math.min(Math.floor((event.clientY - top) / height * this.map.height), this.map.height - 1);
      this.results.toggle(this.card, this.map.labels[Math.max(y, 0) * this.map.width + Math.max(x, 0)]);
    });
  }

  // The event `close` comes after the next key at times: that key is for the card already.
  close() {
    const card = this.card;
    this.card = null;
    this.box.close();
    if (card) $('.shot', card)[0].focus();
  }

  async open(card, place) {
    this.card = card;
    this.map = undefined;  // until it is unpacked
    const image = $('img', card)[0];
    const title = $('.title', card)[0];
    byId('viewer-title').textContent = title.textContent;
    byId('viewer-place').textContent = place;
    byId('viewer-overlay').hidden = !title.href;
    byId('viewer-overlay').href = title.href || '#results';
    byId('viewer-facts').textContent = $('.flag, .facts, .note', card).map(x => x.textContent).join(' · ');
    for (const view of $('.view', this.box)) {
      view.hidden = !image;
      if (image) {
        view.style.setProperty('--shape', image.getAttribute('width') / image.getAttribute('height'));
        $('img', view)[0].src = image.src;
        $('img', view)[0].alt = image.alt;
      }
      for (const layer of $('canvas, svg', view)) {
        if (layer.tagName === 'CANVAS') layer.width = layer.height = 0; else layer.replaceChildren();
      }
    }
    byId('chips').replaceChildren();
    if (!this.box.open) this.box.showModal();
    byId('viewer-title').focus();
    this.box.scrollTop = 0;
    const map = await this.results.readMap(card);
    if (this.card !== card) return;  // another result has been opened meanwhile
    this.map = map;
    if (map) this.showClusters();
    this.update();
  }

  showClusters() {
    const {map} = this;
    const {colors} = this.results;
    const canvas = $('canvas', byId('clusters'))[0];
    paint(canvas, map, label => [...colors[label % colors.length], 255]);
    const shares = this.card.dataset.shares.split(',').map(Number);
    const target = this.results.getTarget(this.card);
    const listed = [...shares.keys()].filter(n => n < MOST_CHIPS || target.includes(n));
    byId('chips').replaceChildren(...listed.map(label => {
      const chip = document.createElement('button');
      const color = document.createElement('i');
      const share = document.createElement('small');
      color.style.background = `rgb(${colors[label % colors.length]})`;
      share.textContent = `${(100 * shares[label]).toFixed(shares[label] < 0.1 ? 1 : 0)} %`;
      chip.type = 'button';
      chip.dataset.label = label;
      chip.append(color, `${label} `, share);
      chip.setAttribute('aria-label', `cluster ${label}, ${share.textContent} of the image`);
      chip.addEventListener('click', () => this.results.toggle(this.card, label));
      return chip;
    }));
    byId('clusters-caption').textContent = `${shares.length} clusters. Click one to add it to the target, or to remove it.`;
  }

  // Show the picks and the verdict of the result; the picture gets the mask of the picks.
  update() {
    if (!this.card) return;
    const {card, map} = this;
    const target = this.results.getTarget(card);
    const isChanged = this.results.isChanged(card);
    for (const chip of $('button', byId('chips'))) {
      chip.setAttribute('aria-pressed', target.includes(+chip.dataset.label));
    }
    const {verdict} = this.results.getMark(card);
    for (const name of ['good', 'bad']) byId(name).setAttribute('aria-pressed', verdict === name);
    byId('reset').disabled = !isChanged;
    byId('viewer-target').textContent = this.describe(target, isChanged);
    byId('whole-caption').textContent = isChanged
      ? 'Preview of the clusters. The new mask is cleaned like the others.' : 'Mask of the target.';
    if (map === undefined) return;
    if (map === null) {
      byId('clusters-caption').textContent = card.dataset.labels
        ? 'This browser cannot unpack the clusters.' : 'No clusters can be shown for this result.';
      return;
    }
    this.drawMask(target, isChanged);
    this.drawNumbers(target);
  }

  // Darken what is outside the mask: the tool's mask by its outline, picked clusters by cells.
  drawMask(target, isChanged) {
    const chosen = new Set(target);
    const isDark = label => isChanged && chosen.size && !chosen.has(label);
    paint($('canvas', byId('whole'))[0], this.map, label => [0, 0, 0, isDark(label) ? 115 : 0]);
    const lines = $('svg', byId('whole'))[0];
    if (isChanged) {
      drawOutline(lines, this.map, target);
      return;
    }
    const own = $('svg', this.card)[0];
    const [, , width, height] = own.getAttribute('viewBox').split(' ');
    const d = $('path', own)[0].getAttribute('d');
    lines.setAttribute('viewBox', own.getAttribute('viewBox'));
    lines.replaceChildren(...$('g', own).map(group => group.cloneNode(true)));
    if (d) lines.prepend(drawSvg('path', {class: 'dim', d: `M0 0H${width}V${height}H0z${d}`}));
  }

  describe(target, isChanged) {
    const name = labels => labels.length ? `label:${labels.join(',')}` : 'no cluster';
    const own = this.results.getOwnTarget(this.card);
    if (!isChanged) return `Target: the tool's mask (${name(own)}).`;
    return `Target: ${name(target)}, instead of the tool's (${name(own)}).`;
  }

  drawNumbers(target) {
    const {map} = this;
    const svg = $('svg', byId('clusters'))[0];
    drawOutline(svg, map, target);
    const size = Math.max(map.width, map.height) / 18;
    this.map.centres ??= findCentres(map);
    for (const [label, {x, y, radius}] of this.map.centres) {
      if (radius < 3) continue;  // too small for a number; it has a button
      const isIn = target.includes(label);
      svg.append(drawSvg('text', {
        x: x + 0.5, y: y + 0.5, 'font-size': Math.min(size, 1.4 * radius + 2), class: isIn ? 'in' : '',
      }, `${label}`));
    }
  }
}
