// The timeline: a row for each track, with its name, score, where it is seen, and what its curve is. A tube may have a
// note, { text, kind }, and no score (null); a head may have `marks`, frames to mark, and a `unit` in place of seconds.

class Rows {
  /** `act(what, tube, value)` is told what a person does: hide, solo, colour, select, light, seek. */
  constructor(list, head, plain, act) {
    this.list = list;
    this.head = head;
    this.rows = head.tubes.map((tube) => this._row(tube, plain, act));
    list.replaceChildren(...this.rows.map((row) => row.item));
    this.view = null; // [from, to] in seconds
  }

  _row(tube, plain, act) {
    const item = document.getElementById("row").content.firstElementChild.cloneNode(true);
    const part = (name) => item.querySelector(`.${name}`);
    const label = plain(tube.label), number = tube.number ?? tube.id, id = `${label} #${number}`, score = tube.score?.toFixed(2) ?? "";
    item.dataset.id = tube.id;
    part("name").textContent = label;
    part("number").textContent = `#${number}`;
    part("score").textContent = score;
    if (tube.note) Object.assign(part("note"), { textContent: tube.note.text, className: `note ${tube.note.kind}` });
    const others = tube.names.filter(([name]) => name !== tube.label);
    part("others").textContent = others.map(([name, score]) => `${plain(name)} ${score.toFixed(2)}`).join(", ");
    part("select").setAttribute("aria-label", [id, score && `score ${score}`, tube.note?.text, this._spoken(tube)].filter(Boolean).join(", ") + (others.length ? `; or ${part("others").textContent}` : ""));
    part("select").title = others.length ? `Other names: ${part("others").textContent}` : "No other names";
    part("eye").setAttribute("aria-label", `Show ${id}`);
    part("solo").setAttribute("aria-label", `Show ${id} alone`);
    const tint = part("tint");
    tint.value = tube.colour;
    tint.setAttribute("aria-label", `Colour of ${id}`);
    part("eye").addEventListener("click", () => act("hide", tube));
    part("solo").addEventListener("click", () => act("solo", tube));
    part("select").addEventListener("click", () => act("select", tube));
    tint.addEventListener("input", () => act("colour", tube, tint.value));
    for (const [name, value] of [["mouseenter", tube], ["mouseleave", null], ["focusin", tube], ["focusout", null]]) {
      item.addEventListener(name, () => act("light", value));
    }
    const line = part("line");
    line.addEventListener("pointerdown", (event) => {
      line.setPointerCapture(event.pointerId);
      act("seek", tube, event);
    });
    line.addEventListener("pointermove", (event) => event.buttons && act("seek", tube, event));
    return { tube, item, canvas: line, eye: part("eye"), solo: part("solo"), select: part("select") };
  }

  _spoken(tube) {
    const { times, fps } = this.head;
    const spans = tube.spans.map(([a, b]) => this.head.unit ? `${a} to ${b}` : `${times[a].toFixed(1)} to ${(times[b] + 1 / fps).toFixed(1)}`);
    const rest = spans.length > 4 ? ` and ${spans.length - 4} more times` : "";
    return spans.length ? `seen from ${this.head.unit ? `${this.head.unit} ` : ""}${spans.slice(0, 4).join(", ")}${this.head.unit ? "" : " seconds"}${rest}` : "never seen";
  }

  /** Bring every row up to date: `state(tube)` gives { listed, shown, solo, lit, selected, here }. */
  update(state) {
    for (const row of this.rows) {
      const now = state(row.tube);
      row.item.hidden = !now.listed;
      for (const name of ["lit", "selected", "here"]) row.item.classList.toggle(name, now[name]);
      row.item.classList.toggle("off", !now.shown);
      row.eye.setAttribute("aria-pressed", now.hidden ? "false" : "true");
      row.solo.setAttribute("aria-pressed", String(now.solo));
      row.select.setAttribute("aria-current", String(now.selected));
    }
  }

  /** Draw where tracks are seen, for the seconds in view. */
  draw(view, colours) {
    this.view = view;
    for (const row of this.rows) if (!row.item.hidden) this._draw(row, colours(row.tube));
  }

  _draw(row, colour) {
    const { canvas, tube } = row, { times, fps, columns, frames } = this.head;
    const density = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * density), height = Math.round(canvas.clientHeight * density);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d"), [from, to] = this.view;
    const x = (time) => ((time - from) / (to - from)) * width;
    context.clearRect(0, 0, width, height);
    context.fillStyle = colour;
    for (const [first, last] of tube.spans) {
      const left = x(times[first]), right = x(last + 1 < frames.length ? times[last + 1] : times[last] + 1 / fps);
      if (right < 0 || left > width) continue;
      context.globalAlpha = 0.35;
      context.fillRect(left, height * 0.1, Math.max(right - left, density), height * 0.8);
    }
    context.globalAlpha = 1;
    for (const place of this.head.marks || []) context.fillRect(x(times[place] + 0.5 / fps), 0, density, height);
    const curve = tube.scores || tube.sizes;
    context.beginPath();
    let before = -2;
    for (let c = 0; c < columns; c++) {
      const value = curve[c], position = Math.floor((c * frames.length) / columns);
      if (!value) continue;
      const left = x(times[position]), y = height * (0.88 - 0.76 * Math.min(value, 1));
      const after = Math.floor(((c + 1) * frames.length) / columns), end = x(after < frames.length ? times[after] : times[position] + 1 / fps);
      if (c === before + 1) context.lineTo(left, y);
      else context.moveTo(left, y);
      context.lineTo(Math.max(end, left + density), y);
      before = c;
    }
    context.strokeStyle = colour;
    context.lineWidth = 1.5 * density;
    context.stroke();
  }
}

