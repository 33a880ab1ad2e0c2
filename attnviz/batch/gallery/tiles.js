// The tiles: on each the map of its main word, and of whichever word is pointed at, tapped or reached by key.

const gallery = JSON.parse(document.getElementById("data").textContent);
const list = document.getElementById("photos");
const still = matchMedia("(prefers-reduced-motion: reduce)"), fingers = matchMedia("(hover: none)");
const looks = { label: "", warm: true };  // whose maps are shown, and whether any are
const colours = tableOf(gallery.colours, gallery.strength, gallery.opacity);
const tiles = new Map();  // card -> tile

// One card with its photo's data.
class Tile {
  constructor(card, photo) {
    Object.assign(this, { card, photo, shown: photo.main, timer: null, seen: false, maps: new Map() });
    this.canvas = card.querySelector("canvas");
    this.words = [...card.querySelectorAll(".caption a")];
    // The tab key goes from photo to photo, arrow keys from word to word.
    this.words.forEach((word, i) => { word.tabIndex = i === (photo.main ?? 0) ? 0 : -1; });
  }

  get row() { return Math.max(0, this.photo.rows.findIndex(({ label }) => label === looks.label)); }

  // The densities of a row's words, unpacked once.
  async mapsOf(row) {
    if (!this.maps.has(row)) {
      const { codes, grid } = this.photo.rows[row], size = grid[0] * grid[1];
      const bytes = await inflated(codes), factor = Math.log(gallery.most / gallery.least) / 254;
      const values = Float32Array.from(bytes, (code) => (code ? gallery.least * Math.exp((code - 1) * factor) : 0));
      this.maps.set(row, this.photo.steps.map((step, i) => values.subarray(i * size, (i + 1) * size)));
    }
    return this.maps.get(row);
  }

  scaleOf(maps, word) {
    const peak = (values) => values.reduce((most, value) => Math.max(most, value), 0), name = gallery.scale;
    const doubling = gallery.doubling.includes(name), peaks = name === "step" ? [maps[word]] : name === "shared" ? maps : [];
    const top = name === "step" ? peak(maps[word]) || 1 : Math.max(gallery.tops[name], ...peaks.map(peak));
    return { top, doubling, bottom: doubling ? gallery.bottom : gallery.threshold * top };
  }

  async draw() {
    const row = this.row, word = this.shown, { frame, grid, unsure } = this.photo.rows[row];
    this.words.forEach((link, i) => {
      link.classList.toggle("shown", i === word && looks.warm);
      link.classList.toggle("unsure", unsure[i]);
    });
    this.canvas.hidden = !looks.warm || word === null;
    if (this.canvas.hidden || !this.seen) return;
    const maps = await this.mapsOf(row);
    if (word !== this.shown || row !== this.row) return;  // meanwhile something else is shown
    [this.canvas.height, this.canvas.width] = this.photo.size;
    const [rows, columns] = [0, 1].map((axis) => axisOf(frame, axis, grid[axis], this.photo.size[axis], gallery.cells));
    rows.cells = grid[0];
    paint(this.canvas.getContext("2d"), rows, columns, maps[word], this.scaleOf(maps, word), colours, shadow(gallery.unseen));
    this.card.dataset.word = String(word);
  }

  show(word) { this.shown = word; this.draw(); }

  rest() { this.play(false); this.show(this.photo.main); }

  play(on) {
    clearInterval(this.timer);
    this.timer = null;
    if (!on || still.matches || this.photo.steps.length < 2) return;
    const next = () => this.show(((this.shown ?? -1) + 1) % this.photo.steps.length);
    this.timer = setInterval(next, Math.max(0.2, gallery.duration) * 1000);
  }
}

// Bytes out of a deflated text.
async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const tileOf = (target) => tiles.get(target.closest?.("li"));
const wordOf = (target) => tileOf(target)?.words.indexOf(target.closest(".caption a")) ?? -1;

// Nothing is painted before it comes near the window.
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const tile = tiles.get(target);
    if (tile && isIntersecting && !tile.seen) { tile.seen = true; tile.draw(); }
  }
}, { rootMargin: "300px" });

function beginTiles() {
  if (typeof DecompressionStream === "undefined") return;
  [...list.querySelectorAll("li:not(.failed)")].forEach((card, i) => {
    const photo = gallery.photos[i];
    if (!photo || !card.querySelector("canvas")) return;
    tiles.set(card, new Tile(card, photo));
    watcher.observe(card);
  });
  list.addEventListener("pointerover", ({ target, pointerType }) => {
    const tile = tileOf(target), word = wordOf(target);
    if (!tile || pointerType !== "mouse") return;
    tile.play(Boolean(target.closest(".photo")));
    if (word >= 0) tile.show(word);
  });
  list.addEventListener("pointerout", ({ target, relatedTarget, pointerType }) => {
    const tile = tileOf(target);
    if (!tile || pointerType !== "mouse") return;
    if (wordOf(target) >= 0 || !target.closest(".photo")?.contains(relatedTarget)) tile.rest();
  });
  list.addEventListener("focusin", ({ target }) => {
    const word = wordOf(target);
    if (word >= 0 && target.matches(":focus-visible")) tileOf(target).show(word);
  });
  list.addEventListener("focusout", ({ target }) => { if (wordOf(target) >= 0) tileOf(target).rest(); });
  list.addEventListener("keydown", (event) => {
    const word = wordOf(event.target), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (word < 0 || !step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    tileOf(event.target).words[word + step]?.focus();
    event.preventDefault();
  });
}

const drawAll = () => tiles.forEach((tile) => tile.rest());
