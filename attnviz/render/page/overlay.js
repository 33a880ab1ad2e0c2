// From the grid's weights to pixels: the same law as attnviz.photo.frame.Frame.upsample and attnviz.render.heatmap.

// The cells that a picture's pixels take their values from, along one axis: pixel i has the entries
// [start[i], start[i + 1]) of `cell` and `share`.
function axisOf(frame, axis, count, size, bare) {
  const resized = frame.resized[axis], offset = frame.offset[axis], input = frame.input[axis];
  const first = Math.floor(Math.max(0, offset) * count / input);
  const last = Math.ceil(Math.min(input, offset + resized) * count / input) - 1;
  const edge = (i) => (i * (resized / size) + offset) * (count / input);
  const pitch = input * size / (count * resized);
  const start = new Int32Array(size + 1), cell = [], share = [];
  for (let i = 0; i < size; i++) {
    const low = edge(i), high = edge(i + 1), middle = (low + high) / 2;
    if (pitch < (bare ? 1 : 2)) {  // cells smaller than pixels: the mean by area
      const a = Math.min(Math.max(low, first), last + 1), b = Math.min(Math.max(high, first), last + 1);
      for (let c = Math.floor(a); c < b && b > a; c++) {
        cell.push(c);
        share.push((Math.min(b, c + 1) - Math.max(a, c)) / (b - a));
      }
    } else if (bare) {
      cell.push(Math.min(Math.max(Math.floor(middle), first), last));
      share.push(1);
    } else {
      const position = Math.min(Math.max(middle - 0.5, first), last), lower = Math.floor(position);
      cell.push(lower, Math.min(lower + 1, last));
      share.push(1 - (position - lower), position - lower);
    }
    start[i + 1] = cell.length;
  }
  return { start, cell: Int32Array.from(cell), share: Float32Array.from(share), seen: seenOf(frame, axis, size) };
}

// The pixels [from, to) whose centre the model saw, as whole numbers.
function seenOf(frame, axis, size) {
  const resized = frame.resized[axis], offset = frame.offset[axis], input = frame.input[axis];
  const from = Math.max(0, -Math.floor((2 * offset * size + resized) / (2 * resized)));
  const to = Math.min(size, Math.floor((2 * (input - offset) * size - resized) / (2 * resized)) + 1);
  if (from < to) return [from, to];
  const visible = Math.max(0, offset) + Math.min(input, offset + resized);
  const middle = Math.min(Math.floor((visible - 2 * offset) * size / (2 * resized)), size - 1);
  return [middle, middle + 1];
}

// A scale { top, bottom, doubling } as a function from densities to levels, 0 (not painted) to 255 (the scale's top),
// as attnviz.render.heatmap.Scale.levels.
function levelsOf({ top, bottom, doubling }) {
  const factor = 255 / (doubling ? Math.log(top / bottom) : top - bottom);
  const level = (value) => Math.trunc(Math.min(Math.max(value * factor + 1, 0), 255));
  if (!doubling) return (density) => level(density - bottom);
  return (density) => (density < bottom ? 0 : level(Math.log(density / bottom)));
}

// The density at a position on a scale's bar, from 0 to 1, and the way back, as Scale.at and Scale.position.
function densityAt({ top, bottom, doubling }, position) {
  return doubling ? bottom * (top / bottom) ** position : position * top;
}
function positionOf({ top, bottom, doubling }, density) {
  return doubling ? Math.log(density / bottom) / Math.log(top / bottom) : density / top;
}

// Paints density (h * w numbers, in times uniform) on a canvas context of the picture's size.
function paint(context, rows, columns, density, scale, table, unseen) {
  const levelOf = levelsOf(scale);
  const height = context.canvas.height, width = context.canvas.width;
  const picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const count = density.length / rows.cells, mixed = new Float32Array(count);
  pixels.fill(unseen);
  for (let y = rows.seen[0]; y < rows.seen[1]; y++) {
    mixed.fill(0);
    for (let k = rows.start[y]; k < rows.start[y + 1]; k++) {
      const at = rows.cell[k] * count, share = rows.share[k];
      for (let c = 0; c < count; c++) mixed[c] += share * density[at + c];
    }
    for (let x = columns.seen[0], at = y * width + x; x < columns.seen[1]; x++, at++) {
      let value = 0;
      for (let k = columns.start[x]; k < columns.start[x + 1]; k++) value += columns.share[k] * mixed[columns.cell[k]];
      pixels[at] = table[levelOf(value)];
    }
  }
  context.putImageData(picture, 0, 0);
}

// What darkens the parts that the model did not see, to a share of their brightness, as one pixel.
function shadow(brightness) {
  return new Uint32Array(new Uint8Array([0, 0, 0, Math.round(255 * (1 - brightness))]).buffer)[0];
}

// 256 pixels of red, green, blue and alpha: what each level lays over the photo.
function tableOf(colours, strength, opacity) {
  const bytes = new Uint8ClampedArray(1024);
  for (let level = 0; level < 256; level++) {
    for (let c = 0; c < 3; c++) bytes[4 * level + c] = parseInt(colours.substr(6 * level + 2 * c, 2), 16);
    bytes[4 * level + 3] = Math.round(255 * strength[level] * opacity);
  }
  return new Uint32Array(bytes.buffer);
}

// The densities of all steps of a mode: 16-bit parts of each step's peak, high bytes first, deflated.
async function densitiesOf(mode) {
  const packed = Uint8Array.from(atob(mode.weights), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const cells = mode.grid[0] * mode.grid[1], half = bytes.length / 2;
  return mode.peaks.map((peak, step) => Float32Array.from({ length: cells }, (_, i) =>
    (bytes[step * cells + i] * 256 + bytes[half + step * cells + i]) / 65535 * peak * cells));
}
