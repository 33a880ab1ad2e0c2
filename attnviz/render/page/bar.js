// The colour bar and what its scale is called.

const SCALES = { log: "log, 1 to 64", linear: "linear, 0 to 10", shared: "shared", step: "own, each word" };

// The scale of a word in a row: { top, bottom, doubling }.
function scaleOf(data, name, row, step) {
  const found = data.tops[name], doubling = data.doubling.includes(name);
  const top = Array.isArray(found) ? found[row][step] : found;
  return { top, doubling, bottom: doubling ? data.bottom : data.threshold * top };
}

// Doublings, or round numbers from 0 with room left for the top's own.
function ticksOf({ top, bottom, doubling }) {
  if (doubling) return Array.from({ length: Math.round(Math.log2(top / bottom)) }, (_, i) => bottom * 2 ** i);
  const power = 10 ** Math.floor(Math.log10(top / 5));
  const pitch = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= 0.999 * top / 5);
  return Array.from({ length: Math.ceil(top / pitch) }, (_, i) => i * pitch).filter((value) => value < 0.9 * top);
}

// Draws the colours of a scale, over the grey that the bars of pictures lie on, into a canvas one pixel high.
function drawBar(canvas, data, scale, table) {
  const bar = canvas.getContext("2d"), wide = canvas.width, levelOf = levelsOf(scale);
  const line = bar.createImageData(wide, 1), bytes = new Uint8Array(table.buffer);
  for (let x = 0; x < wide; x++) {
    const level = 4 * levelOf(densityAt(scale, (x + 0.5) / wide)), alpha = bytes[level + 3] / 255;
    for (let c = 0; c < 3; c++) line.data[4 * x + c] = data.grey * (1 - alpha) + bytes[level + c] * alpha;
    line.data[4 * x + 3] = 255;
  }
  bar.putImageData(line, 0, 0);
}

// Numbers below a bar, as spans at their places.
function marksOf(data, name, scale) {
  return [...ticksOf(scale), scale.top].map((value, i) => {
    const mark = document.createElement("span");
    const sign = value === scale.top && data.clipped[name] ? "≥ " : i === 0 && scale.doubling ? "≤ " : "";
    mark.textContent = sign + +value.toPrecision(3);
    mark.style.left = `${100 * positionOf(scale, value)}%`;
    return mark;
  });
}

// What a scale is the same for.
function rangeOf(data, name) {
  const all = data.rows.length > 1 ? "one scale for all words and rows" : "one scale for all words";
  const fixed = "the same scale in every picture";
  return { log: fixed, linear: fixed, shared: all, step: "this word's own scale" }[name];
}
