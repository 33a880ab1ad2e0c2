// Which network is asked: model, mode, layers, and what stands beside it.

class Choices {
  // `change` is called when something else is chosen.
  constructor(change) {
    this.models = [];
    for (const id of ["mode", "layers", "prompt"]) el(id).addEventListener("change", () => { this.fill(); change(); });
    el("model").addEventListener("change", () => { this.fill(); change(); });
    el("others").addEventListener("change", change);
  }

  offer({ models, model, mode }) {
    const first = !this.models.length;
    this.models = models;
    if (!first) { this.fill(); return; }
    el("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    el("model").value = model;
    this.fill();
    if (mode) el("mode").value = mode;
    this.fill();
  }

  get model() { return this.models.find(({ name }) => name === el("model").value); }

  // Brings what can be chosen in line with what is chosen.
  fill() {
    const { model } = this, mode = el("mode").value, modes = model.modes;
    el("model").closest("p").hidden = this.models.length < 2;
    el("mode").closest("p").hidden = modes.length < 2;
    el("mode").replaceChildren(...modes.map((name) => new Option(name, name)));
    if (modes.includes(mode)) el("mode").value = mode;
    el("layers").closest("p").hidden = model.layers === null;
    el("prompt").closest("p").hidden = model.prompt === null;
    el("prompt").placeholder = model.prompt || "the model's own";
    this.others();
  }

  // The networks that can stand beside the chosen one.
  others() {
    const ticked = this.beside.map(({ model, mode }) => `${model}/${mode}`), labels = [];
    for (const { name, modes } of this.models) for (const mode of modes.length ? modes : [null]) {
      if (name === el("model").value && (mode ?? "") === el("mode").value) continue;
      const label = document.createElement("label"), input = document.createElement("input"), key = `${name}/${mode}`;
      Object.assign(input, { type: "checkbox", checked: ticked.includes(key) });
      Object.assign(input.dataset, { model: name, mode: mode ?? "" });
      const shown = name === el("model").value ? mode : [name, mode].filter(Boolean).join(" ");
      label.append(input, document.createTextNode(shown));
      labels.push(label);
    }
    el("others").replaceChildren(el("others").querySelector("legend"), ...labels);
    el("beside").hidden = !labels.length;
  }

  get beside() {
    return [...el("others").querySelectorAll("input:checked")].map(({ dataset }) => ({ model: dataset.model, mode: dataset.mode || null }));
  }

  get params() {
    if (!this.model) return {};  // what there is to choose is not known yet: the server's first network answers
    const own = { model: el("model").value, mode: el("mode").value || null };
    const all = [own, ...this.beside].map(({ model, mode }) => (mode === null ? model : `${model}:${mode}`));
    const layers = el("layers").value.split(",").map((part) => part.trim()).filter(Boolean);
    const prompt = (this.model.prompt !== null && el("prompt").value.trim()) || null;
    return { network: all, prompt, ...(this.model?.layers != null && all.length === 1 && layers.length ? { layers } : {}) };
  }
}
