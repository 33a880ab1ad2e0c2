"use strict";
const list = document.getElementById("photos");
const search = document.getElementById("search");
const sort = document.getElementById("sort");
const byName = Array.from(list.children);

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const photo of byName) {
    photo.hidden = !words.every((word) => photo.dataset.text.includes(word));
    shown += photo.hidden ? 0 : 1;
  }
  const total = byName.length;
  const count = shown === total ? `${total}` : `${shown} of ${total}`;
  document.getElementById("count").textContent = `${count} photo${total === 1 ? "" : "s"}`;
  document.getElementById("none").hidden = shown > 0 || total === 0;
}

function order() {
  const [key, direction] = sort.value.split(":");
  // What has no number comes last, whichever way the others are sorted.
  const value = (photo) => (photo.dataset[key] === "" ? Infinity : Number(photo.dataset[key]) * Number(direction));
  const sorted = key ? [...byName].sort((a, b) => value(a) - value(b)) : byName;
  list.append(...sorted);
}

// The animation takes the place of the photo while the pointer or the focus is on it.
function play(event) {
  const link = event.target.closest?.(".photo[data-moving]:not([data-moving=''])");
  const image = link?.querySelector("img");
  if (!image || image.dataset.still) return;
  image.dataset.still = image.src;
  image.src = link.dataset.moving;
}
function rest(event) {
  const image = event.target.closest?.(".photo")?.querySelector("img");
  if (!image?.dataset.still) return;
  image.src = image.dataset.still;
  delete image.dataset.still;
}
for (const [name, action] of [["mouseover", play], ["focusin", play], ["mouseout", rest], ["focusout", rest]]) {
  list.addEventListener(name, action);
}
search.addEventListener("input", filter);
sort.addEventListener("change", order);
filter();
order();
