// What comes of it: the explorer, and files to keep.

class Results {
  constructor() { this.explorer = null; }

  // Shows an answer; how the one before was looked at stays.
  async show({ explorer: data, picture }, given) {
    const before = this.explorer, room = el("room");
    if (before) {
      before.close();
      Object.assign(data, { scale: before.scale, cells: before.bare, opacity: before.opacity });
    }
    room.replaceChildren(el("explorer").content.cloneNode(true));
    room.hidden = false;
    data.photo = picture;
    this.explorer = new Explorer(room, data);
    await this.explorer.ready;
    if (given) this.explorer.choose(Infinity);  // of "the black dog", the dog
    if (before && before.data.tokens.join("\n") === data.tokens.join("\n")) this.explorer.choose(before.step);
    const same = before && before.data.rows.length === data.rows.length;
    if (same && before.view !== "one") { this.explorer.setView(before.view); this.explorer.draw(); }
    document.title = `${data.name} · ${data.tokens.join(" ")}`;
  }

  // How the picture is looked at, for files that shall look the same.
  get look() {
    const { scale, bare, opacity } = this.explorer;
    return { scale, cells: bare, opacity: opacity.toFixed(2) };
  }
}

const NAMED = /filename\*=UTF-8''([^;]+)/;

async function keep(response) {
  const link = document.createElement("a"), name = NAMED.exec(response.headers.get("content-disposition") || "");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name ? decodeURIComponent(name[1]) : "attention";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 30000);
}
