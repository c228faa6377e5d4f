// Label maps: unpack them, trace the outline of some labels, find places for numbers.

// Unpack zlib and base64 into one label for each of `cells` cells.
async function unpackLabels(code, cells) {
  const packed = Uint8Array.from(atob(code), sign => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length === cells) return bytes;
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({length: cells}, (_, n) => view.getUint16(2 * n, true));
}

// Trace the edges between cells whose labels are in `picks` and others, as an SVG path in cells.
function tracePicks({labels, width, height}, picks) {
  const chosen = new Set(picks);
  const isIn = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height && chosen.has(labels[y * width + x]);
  const parts = [];
  // Runs of edges below row y - 1, then right of column x - 1, so that a path stays short.
  for (let y = 0; y <= height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const start = x;
      while (x < width && isIn(x, y) !== isIn(x, y - 1)) x += 1;
      if (x > start) parts.push(`M${start} ${y}h${x - start}`);
    }
  }
  for (let x = 0; x <= width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      const start = y;
      while (y < height && isIn(x, y) !== isIn(x - 1, y)) y += 1;
      if (y > start) parts.push(`M${x} ${start}v${y - start}`);
    }
  }
  return parts.join('');
}

// Find the cell of each label that is farthest from other labels: label -> {x, y, radius}. The
// distance is that of the city block, which two passes compute exactly.
function findCentres({labels, width, height}) {
  const distance = new Float32Array(labels.length);
  const step = (n, x, y, dx, dy) => {
    const inside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
    const other = n + dy * width + dx;
    return inside && labels[other] === labels[n] ? distance[other] + 1 : 1;
  };
  for (let y = 0, n = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, n += 1) {
      distance[n] = Math.min(step(n, x, y, -1, 0), step(n, x, y, 0, -1));
    }
  }
  const found = new Map();
  for (let y = height - 1, n = labels.length - 1; y >= 0; y -= 1) {
    for (let x = width - 1; x >= 0; x -= 1, n -= 1) {
      distance[n] = Math.min(distance[n], step(n, x, y, 1, 0), step(n, x, y, 0, 1));
      const best = found.get(labels[n]);
      if (!best || distance[n] > best.radius) found.set(labels[n], {x, y, radius: distance[n]});
    }
  }
  return found;
}
