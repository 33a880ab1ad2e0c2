// The box: one photo's explorer over the gallery, with the previous and the next photo that the filters leave.

const box = document.getElementById("box"), room = document.getElementById("room");
let opened = null;  // { card, explorer }
const waiting = new Map();  // key -> what to do with the data
window.attnvizPhoto = (key, data) => { waiting.get(key)?.(data); };

// The data of a photo, from the script beside this page.
function dataOf(key) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    waiting.set(key, resolve);
    script.src = `index-files/${key}.js`;
    script.onerror = () => reject(new Error(script.src));
    script.onload = () => script.remove();
    document.head.append(script);
  });
}

async function openBox(card, word) {
  const { key } = card.dataset, tile = tiles.get(card), shown = showable(), at = shown.indexOf(card);
  opened?.explorer?.close();
  opened = { card, explorer: null };
  const mine = opened;
  document.getElementById("place").textContent = `${at + 1} of ${shown.length}`;
  document.getElementById("before").disabled = at <= 0;
  document.getElementById("after").disabled = at < 0 || at === shown.length - 1;
  document.getElementById("folder").href = card.querySelector(".about a").getAttribute("href");
  if (!box.open) box.showModal();
  history.replaceState(null, "", `#${key}`);
  try {
    const data = await dataOf(key);
    if (opened !== mine) return;
    room.replaceChildren(document.getElementById("explorer").content.cloneNode(true));
    mine.explorer = new Explorer(room, data);
    await mine.explorer.ready;
    if (opened !== mine) return;
    mine.explorer.setRow(Math.min(tile.row, data.rows.length - 1));
    mine.explorer.choose(word ?? tile.photo.main ?? 0);
    box.dataset.ready = key;
  } catch (error) {
    room.textContent = `The data of this photo is missing: ${error.message}`;
  }
}

// The box is closed: browsers tell it a moment later, when another photo may be open already.
function leave() {
  if (box.open || !opened) return;
  opened.explorer?.close();
  history.replaceState(null, "", location.pathname + location.search);
  room.replaceChildren();
  delete box.dataset.ready;
  opened.card.querySelector(".photo").focus();
  opened = null;
}

function turn(step) {
  const shown = showable(), next = shown[shown.indexOf(opened.card) + step];
  if (next) openBox(next);
}

// Cards that can be opened, in the order in which they are shown.
const showable = () => [...list.children].filter((card) => !card.hidden && card.dataset.key);

function beginBox() {
  list.addEventListener("click", (event) => {
    const card = event.target.closest("li"), link = event.target.closest("a"), word = wordOf(event.target);
    if (!tiles.has(card) || !card.dataset.key || !link || link.closest(".about")) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;  // a new window, as for any link
    event.preventDefault();
    const tile = tiles.get(card);
    // A finger cannot hover: its first tap shows, its second opens.
    if (word >= 0 && event.pointerType === "touch" && tile.shown !== word) tile.show(word);
    else openBox(card, word >= 0 ? word : null);
  });
  document.getElementById("before").addEventListener("click", () => turn(-1));
  document.getElementById("after").addEventListener("click", () => turn(1));
  document.getElementById("shut").addEventListener("click", () => { box.close(); leave(); });
  box.addEventListener("close", leave);  // by escape too
  document.addEventListener("keydown", (event) => {
    if (!opened || !box.open || event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input")) return;
    const step = { n: 1, p: -1 }[event.key];
    if (step) turn(step);
  });
  const wanted = [...list.children].find((card) => card.dataset.key && `#${card.dataset.key}` === location.hash);
  if (wanted && tiles.has(wanted)) openBox(wanted);
}
