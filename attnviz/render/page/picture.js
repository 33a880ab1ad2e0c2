// Pictures to save: as they stand, with words, numbers and the colour bar, at the photo's embedded size.

const DARK = { back: "#18181c", ink: "#d8d8de", faint: "#a5a5b0", mark: "#ffcc4d", marked: "#141416" };

function penOf(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.ceil(width), height: Math.ceil(height) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = DARK.back;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textBaseline = "middle";
  return pen;
}

// Where each word stands in lines of a width.
function flow(pen, words, size, pad, width) {
  const places = [];
  let x = pad, y = 0;
  words.forEach((token, index) => {
    const long = pen.measureText(token).width;
    if (x > pad && x + long + pad > width) { x = pad; y += size * 1.5; }
    places.push({ token, index, x, y, long });
    x += long + size * 0.5;
  });
  return { places, below: y + size * 1.5 };
}

// The bar with its first and last number and a line of facts, in the lowest 3.6 lines of a picture.
function foot(pen, size, pad, bar, ends, facts) {
  const { width, height } = pen.canvas, low = height - size * 0.7;
  pen.drawImage(bar, pad, low - size * 2.35, width - 2 * pad, Math.ceil(size * 0.45));
  pen.font = `${Math.round(size * 0.62)}px system-ui, sans-serif`;
  pen.fillStyle = DARK.faint;
  pen.fillText(ends[0], pad, low - size * 1.35);
  pen.fillText(ends[1], width - pad - pen.measureText(ends[1]).width, low - size * 1.35);
  pen.fillText(facts, pad, low, width - 2 * pad);
}

// One photo with one word's heatmap. `layers` are drawn over each other.
function onePicture({ layers, size: [height, width], tokens, current, bar, ends, facts }) {
  const size = Math.round(Math.min(Math.max(width / 34, 14), 34)), pad = Math.round(size * 0.6);
  const font = `${size}px system-ui, sans-serif`;
  const probe = penOf(1, 1);
  probe.font = font;
  const { places, below } = flow(probe, tokens, size, pad, width);
  const pen = penOf(width, height + below + size * 3.7);
  for (const layer of layers) pen.drawImage(layer, 0, 0, width, height);
  pen.font = font;
  for (const place of places) {
    const marked = place.index === current, middle = height + pad + place.y + size * 0.6;
    if (marked) {
      pen.fillStyle = DARK.mark;
      pen.fillRect(place.x - size * 0.2, middle - size * 0.65, place.long + size * 0.4, size * 1.3);
    }
    pen.fillStyle = marked ? DARK.marked : DARK.ink;
    pen.fillText(place.token, place.x, middle, width - 2 * pad);
  }
  foot(pen, size, pad, bar, ends, facts);
  return pen.canvas;
}

// Pictures in rows and columns: `cells` of { picture, title }, `wide` in a row; `heads` above the columns, `labels` at left.
function manyPictures({ cells, wide, heads, labels, bar, ends, facts }) {
  const [{ picture }] = cells, width = picture.width, height = picture.height, size = 22, pad = 14, gap = 8;
  const left = labels.length ? pad + 9 * size : pad, top = heads.length ? 2 * size : pad, line = labels.length ? 0 : 1.5 * size;
  const rows = Math.ceil(cells.length / wide);
  const pen = penOf(left + wide * (width + gap) + pad, top + rows * (height + line + gap) + 4 * size);
  pen.font = `${size * 0.8}px system-ui, sans-serif`;
  pen.fillStyle = DARK.ink;
  heads.forEach((head, i) => pen.fillText(head, left + i * (width + gap), size, width));
  cells.forEach((cell, i) => {
    const x = left + i % wide * (width + gap), y = top + Math.floor(i / wide) * (height + line + gap);
    if (labels.length && i % wide === 0) pen.fillText(labels[i / wide], pad, y + height / 2, left - 2 * pad);
    pen.drawImage(cell.picture, x, y);
    if (line) pen.fillText(cell.title, x, y + height + line / 2, width);
  });
  foot(pen, size, pad, bar, ends, facts);
  return pen.canvas;
}

// A name for a file, of what it shows.
function fileName(...parts) {
  const plain = (text) => String(text).replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "word";
  return `${parts.filter((part) => part !== "").map(plain).join("-")}.png`;
}

// Offers a canvas as a file; its name is what it was when this was called, however long packing takes.
function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

// Saves what an explorer shows.
function download(explorer) {
  const { data, several, now, cells } = explorer, word = data.words[explorer.shown], step = String(data.steps[explorer.shown]).padStart(2, "0");
  const ticks = explorer.get("ticks"), scale = `scale ${SCALES[explorer.scale]}`;
  const bar = explorer.get("bar"), ends = [ticks.firstChild.textContent, `${ticks.lastChild.textContent} times uniform`];
  if (explorer.view === "one") {
    const layers = [explorer.get("photo"), explorer.overlay.canvas], facts = [now.label, scale, explorer.numbers()].join(" · ");
    const canvas = onePicture({ layers, size: data.size, tokens: data.tokens, current: data.steps[explorer.shown], bar, ends, facts });
    save(canvas, fileName("step", step, word, several ? now.label : ""));
    return;
  }
  const whole = explorer.view === "all", matrix = several && whole, labels = matrix ? data.rows.map(({ label }) => label) : [];
  const titled = cells.map(({ picture, row, word: at }) => ({
    picture, title: (several && !whole ? data.rows[row].label : data.words[at]) + (data.rows[row].unsure[at ?? explorer.shown] ? "?" : ""),
  }));
  const facts = [data.name, whole ? data.tokens.join(" ") : word, scale].join(" · ");
  const wide = matrix ? explorer.count : Math.min(titled.length, 4), heads = matrix ? data.words : [];
  save(manyPictures({ cells: titled, wide, heads, labels, bar, ends, facts }), whole ? "all-words.png" : fileName("step", step, word, "all"));
}
