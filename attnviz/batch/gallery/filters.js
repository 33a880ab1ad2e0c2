// Which photos are shown, in which order, and whose maps.

const [search, only, mode, sort, heat] = ["search", "only", "mode", "sort", "heat"].map((id) => document.getElementById(id));
const byName = Array.from(list.children);

function isWanted(card) {
  const failed = card.classList.contains("failed"), tile = tiles.get(card);
  if (!search.value.toLowerCase().split(/\s+/).every((word) => card.dataset.text.includes(word))) return false;
  if (only.value === "failed") return failed;
  if (only.value === "unsure") return tile ? tile.photo.rows[tile.row].unsure.some(Boolean) : "unsure" in card.dataset;
  return failed || !looks.label || !tile || tile.photo.rows.some(({ label }) => label === looks.label);
}

function filter() {
  let photos = 0, failed = 0;
  for (const card of byName) {
    card.hidden = !isWanted(card);
    if (!card.hidden) { if (card.classList.contains("failed")) failed++; else photos++; }
  }
  const total = gallery.photos.length, shown = photos === total ? `${total}` : `${photos} of ${total}`;
  const parts = only.value === "failed" ? [] : [`${shown} photo${total === 1 ? "" : "s"}`];
  if (failed) parts.push(`${failed} failed`);
  document.getElementById("count").textContent = parts.join(", ") || "none";
  document.getElementById("none").hidden = photos + failed > 0 || byName.length === 0;
}

function order() {
  const [key, direction] = sort.value.split(":");
  // What has no number comes last, whichever way the others are sorted.
  const value = (card) => (card.dataset[key] === "" ? Infinity : Number(card.dataset[key]) * Number(direction));
  list.append(...(key ? [...byName].sort((a, b) => value(a) - value(b)) : byName));
}

// The colour bar of all tiles, where they share one scale.
function key() {
  if (!(gallery.scale === "log" || gallery.scale === "linear")) return;
  const top = gallery.tops[gallery.scale], doubling = gallery.doubling.includes(gallery.scale);
  const scale = { top, doubling, bottom: doubling ? gallery.bottom : gallery.threshold * top };
  drawBar(document.getElementById("keybar"), gallery, scale, colours);
  document.getElementById("keyname").textContent = `${doubling ? scale.bottom : 0}`;
  document.getElementById("keyticks").textContent = `${top} times uniform`;
  document.getElementById("key").hidden = !tiles.size;
}

function begin() {
  beginTiles();
  const firsts = new Set(gallery.photos.filter(Boolean).map((photo) => photo.rows[0].label));
  const choices = gallery.labels.map((label) => new Option(label, label));
  mode.append(...(firsts.size > 1 ? [new Option(`any ${gallery.kind}`, "")] : []), ...choices);
  mode.hidden = gallery.labels.length < 2;
  looks.label = mode.value;
  only.querySelector("[value=failed]").disabled = !list.querySelector(".failed");
  search.addEventListener("input", filter);
  only.addEventListener("change", filter);
  mode.addEventListener("change", () => { looks.label = mode.value; filter(); drawAll(); });
  sort.addEventListener("change", order);
  heat.addEventListener("change", () => { looks.warm = heat.checked; drawAll(); });
  document.getElementById("warm").hidden = !tiles.size;
  const hint = fingers.matches ? "Tap a word to see where it looked, again to explore." : "Point at a word to see where it looked; click to explore.";
  document.getElementById("hint").textContent = tiles.size ? hint : "";
  key();
  filter();
  order();
  beginBox();
  document.documentElement.dataset.ready = "yes";
}

begin();
