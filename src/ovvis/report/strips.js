// The videos of a report: some frames with their masks, above and below them rows of tracks with their timelines, drawn
// by the viewer's own painter and rows.

/** What was found in a video, or what is true. */
class Side {
  constructor(article, name, head) {
    this.tubes = head[name];
    this.lit = this.selected = null;
    this.hidden = new Set();
    this.solo = new Set();
    this.colours = new Map(this.tubes.map((tube) => [tube.id, Painter.colour(tube.colour)]));
    const text = new TextEncoder();
    this.pictures = [...article.querySelectorAll(`.frames.${name} canvas`)].map((canvas, frame) => {
      const codes = this.tubes.map((tube) => text.encode(tube.codes[frame]));
      const picture = { painter: new Painter(canvas, head.width, head.height), seen: [] };
      picture.draw = () => {
        picture.seen = Codes.seen(this.tubes, head.height, (tube, row) => (this.shows(tube) && codes[row].length ? codes[row] : null));
        picture.paint();
      };
      picture.paint = () => picture.painter.paint(Painter.shades(picture.seen, this.lit ?? this.selected, this.colours, 0.45));
      canvas.addEventListener("pointermove", (event) => this.light(picture.painter.under(event, picture.seen)?.id ?? null));
      canvas.addEventListener("pointerleave", () => this.light(null));
      canvas.addEventListener("click", (event) => {
        const tube = picture.painter.under(event, picture.seen);
        if (tube) this.act(event.shiftKey ? "hide" : "solo", tube);
      });
      return picture;
    });
    const list = article.querySelector(`.rows.${name}`);
    const plain = (label) => head.plain[label] ?? label;
    this.rows = list && new Rows(list, { ...head, tubes: this.tubes }, plain, (what, tube, value) => this.act(what, tube, value));
    if (list) new ResizeObserver(() => this.refresh()).observe(list);
    this.head = head;
    this.refresh();
  }

  shows(tube) { return !this.hidden.has(tube.id) && (this.solo.size === 0 || this.solo.has(tube.id)); }

  act(what, tube, value) {
    const flip = (set) => (set.has(tube.id) ? set.delete(tube.id) : set.add(tube.id));
    if (what === "light") return this.light(tube?.id ?? null);
    if (what === "seek") return undefined; // the frames stay
    if (what === "hide") flip(this.hidden);
    if (what === "solo") flip(this.solo);
    if (what === "colour") this.colours.set(tube.id, Painter.colour(value));
    if (what === "select") this.selected = this.selected === tube.id ? null : tube.id;
    return this.refresh();
  }

  light(id) {
    if (this.lit === id) return;
    this.lit = id;
    for (const row of this.rows?.rows ?? []) row.item.classList.toggle("lit", row.tube.id === id);
    for (const picture of this.pictures) picture.paint();
  }

  refresh() {
    this.rows?.update((tube) => ({
      listed: true, shown: this.shows(tube), hidden: this.hidden.has(tube.id), solo: this.solo.has(tube.id),
      lit: this.lit === tube.id, selected: this.selected === tube.id, here: false,
    }));
    this.rows?.draw([0, this.head.frames.length], (tube) => `rgb(${this.colours.get(tube.id)})`);
    for (const picture of this.pictures) picture.draw();
  }
}

globalThis.ovvisStrips = [...document.querySelectorAll("article.video")].map((article) => {
  const head = JSON.parse(article.querySelector("script").textContent);
  return { found: new Side(article, "found", head), truth: new Side(article, "truth", head) };
});
