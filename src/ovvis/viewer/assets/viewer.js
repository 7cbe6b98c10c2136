// The page: what is shown, what a person does, and how both stay together.

const $ = (id) => document.getElementById(id);

class Viewer {
  constructor(head) {
    this.head = head;
    this.pieces = new Pieces(head, (this.loader = Loaders.of(head)));
    this.panels = Panels.of(head);
    this.hidden = new Set();
    this.solo = new Set();
    this.colours = new Map(head.tubes.map((tube) => [tube.id, Painter.colour(tube.colour)]));
    this.lit = null; // the track under the pointer, or with the focus
    this.selected = null;
    this.now = { position: -1, time: 0, exact: false }; // of the last picture
    this.seen = []; // what was painted: { tube, runs, area, box }
    this.painted = { position: null, count: 0 };
    this.zoom = 1;
    this.threshold = Math.min(head.shownScore, Math.max(0, ...head.tubes.map((tube) => tube.score)));
    this.rows = new Rows($("rows"), head, (text) => this.plain(text), (what, tube, value) => this.act(what, tube, value));
    const last = head.times.length - 1;
    this.ends = [head.times[0], Math.max(head.times[last] + 1 / head.fps, head.times[0] + 1e-3)];
    this.say();
    Panels.moments(head, (text) => this.plain(text), (position) => { this.clock.pause(); this.clock.seek(position); });
    this.listen();
    this.resize();
    this.refresh();
  }

  /** Return a label as it can be shown: what cannot be seen in it is written out. */
  plain(text) { return this.head.plain[text] ?? text; }

  say() {
    const { head } = this;
    $("title").textContent = this.plain(head.source) || "video";
    const seconds = (this.ends[1] - this.ends[0]).toFixed(1);
    $("facts").textContent = `${head.frames.length.toLocaleString("en")} frames of ${head.width}×${head.height}, ${seconds} s`;
    const notes = [head.problem && `Used in part: ${head.problem}`, ...head.notes, head.media?.says];
    if (!head.media) notes.push("There is no video in this page: masks are shown on a plain ground.");
    if (head.leftOut) notes.push(`${head.leftOut} tracks of lower scores are not in this page.`);
    $("notes").replaceChildren(...notes.filter(Boolean).map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    const scored = head.tubes.some((tube) => tube.scores);
    $("curve").textContent = scored
      ? "Curve: score, 0 to 1."
      : "Curve: size in the picture, of the track's largest. The result has one score a track, none for each frame.";
    $("threshold").value = this.threshold;
    $("seek").max = head.frames.length - 1;
  }

  async start() {
    const { head } = this;
    const video = $("video");
    if (head.media) {
      video.hidden = false;
      video.style.width = `${(100 * head.media.width) / head.width}%`;
      video.style.height = `${(100 * head.media.height) / head.height}%`;
      this.clock = new VideoClock(video, head);
    } else this.clock = new PlainClock(head);
    this.clock.onframe = (now) => this.frame(now);
    this.clock.onstate = () => this.state();
    video.addEventListener("error", () => this.trouble(`The video cannot be played here (${video.error?.message || "not found"}): masks are shown without it.`));
    if (head.media) {
      const address = await this.loader.media();
      video.src = address;
    }
    this.open(location.hash) || this.clock.seek(0);
    this.state();
  }

  /** The video is not there or cannot be played: go on without it. */
  trouble(text) {
    if (this.clock instanceof PlainClock) return;
    this.tell(text, true);
    $("video").hidden = true;
    this.head.media = null;
    this.clock = new PlainClock(this.head);
    this.clock.onframe = (now) => this.frame(now);
    this.clock.onstate = () => this.state();
    this.clock.seek(Math.max(this.now.position, 0));
  }

  tell(text, bad = false) {
    $("says").textContent = text;
    $("says").classList.toggle("bad", bad);
    this.told = text;
  }

  // What is shown

  listed(tube) {
    const wanted = $("find").value.trim().toLowerCase();
    const found = !wanted || [`#${tube.number ?? tube.id}`, String(tube.number ?? tube.id)].includes(wanted) || tube.names.some(([name]) => name.toLowerCase().includes(wanted));
    return tube.score >= this.threshold && found;
  }

  shows(tube) {
    return this.listed(tube) && !this.hidden.has(tube.id) && (this.solo.size === 0 || this.solo.has(tube.id));
  }

  shown() { return this.head.tubes.filter((tube) => this.shows(tube)); }

  /** A new picture is on the screen. */
  frame(now) {
    this.now = now;
    Panels.copy(this.panels, this.head, $("video"));
    this.draw();
    this.follow();
  }

  /** Draw the masks of the picture that is shown. */
  draw() {
    const { position } = this.now;
    const piece = position < 0 ? null : this.pieces.at(position);
    if (position >= 0 && !piece) {
      this.pieces.open(Math.floor(position / this.head.pieceFrames)).then(
        () => this.now.position === position && this.draw(),
        (error) => this.tell(`Masks could not be read: ${error.message}`, true),
      );
    }
    this.seen = [];
    if (piece) {
      const code = (tube, row) => (this.shows(tube) ? Pieces.code(piece, row, position) : null);
      this.seen = Codes.seen(this.head.tubes, this.head.height, code);
    }
    this.paint();
    this.painted = { position: piece || position < 0 ? position : null, count: (this.painted.count || 0) + 1 };
  }

  paint() {
    const opacity = Number($("opacity").value), held = this.now.exact ? 1 : 0.55;
    const lit = new Set(Panels.kin(this.head, this.lit).map((tube) => tube.id));
    for (const panel of this.panels) {
      const seen = panel.own(this.seen), here = seen.find(({ tube }) => lit.has(tube.id));
      panel.painter.paint(Painter.shades(seen, here?.tube.id ?? this.lit, this.colours, opacity, held), $("outlines").checked);
      panel.names.paint(this.labels(seen), this.head.width, this.head.height, panel.box.clientWidth, panel.box.clientHeight, devicePixelRatio || 1);
    }
  }

  labels(seen) {
    if (!$("names").checked) return [];
    return seen.map(({ tube, box }) => ({ text: `${this.plain(tube.label)} ${tube.score.toFixed(2)} #${tube.number ?? tube.id}`, colour: this.colours.get(tube.id), box }));
  }

  /** Words, needle and rows for the picture that is shown. */
  follow() {
    const { head, now } = this, { position } = now;
    const number = position < 0 ? "–" : head.frames[position];
    $("where").textContent = `${now.time.toFixed(3)} s · frame ${number}`;
    $("seek").value = Math.max(position, 0);
    $("seek").setAttribute("aria-valuetext", `${now.time.toFixed(2)} seconds, frame ${number}`);
    if (position < 0) this.tell("This frame lies before the first that was looked at.");
    else if (!now.exact) this.tell(`Between frames that were looked at: masks of frame ${number}.`);
    else if (now.sure === false) this.tell("This browser does not say which frame it shows: masks may be one off.");
    else if (this.told && /^(Between|This)/.test(this.told)) this.tell("");
    const place = (now.time - this.view()[0]) / (this.view()[1] - this.view()[0]);
    if (this.zoom > 1 && (place < 0 || place > 1)) return this.refresh();
    this.needle(place);
    const here = new Set(this.seen.map(({ tube }) => tube.id));
    for (const row of this.rows.rows) {
      const on = here.has(row.tube.id);
      if (row.on !== on) row.item.classList.toggle("here", (row.on = on));
    }
    if (!this.clock?.playing) this.settle();
    return undefined;
  }

  spoken() {
    const names = this.seen.map(({ tube }) => `${this.plain(tube.label)} ${tube.score.toFixed(2)}`);
    $("seen").textContent = `${this.now.time.toFixed(2)} seconds: ${names.length ? names.join(", ") : "nothing is shown"}`;
    $("stage").setAttribute("aria-label", `Picture with ${names.length} masks`);
  }

  needle(place) {
    const line = $("scale").getBoundingClientRect(), box = $("timeline").getBoundingClientRect();
    const needle = $("needle");
    needle.hidden = place < 0 || place > 1;
    needle.style.left = `${line.left - box.left + $("timeline").scrollLeft + place * line.width - 1}px`;
    needle.style.height = `${$("rows").offsetTop + $("rows").offsetHeight}px`;
  }

  /** The seconds that the timeline shows. */
  view() {
    const [from, to] = this.ends, length = (to - from) / this.zoom;
    if (this.zoom === 1) return this.ends;
    const page = Math.floor((this.now.time - from) / length);
    const start = Math.min(Math.max(from + page * length, from), to - length);
    return [start, start + length];
  }

  /** Everything that depends on what a person chose. */
  refresh() {
    const { tubes } = this.head;
    $("threshold-value").textContent = this.threshold.toFixed(2);
    const here = new Set(this.seen.map(({ tube }) => tube.id));
    this.rows.update((tube) => ({
      listed: this.listed(tube), shown: this.shows(tube), hidden: this.hidden.has(tube.id), solo: this.solo.has(tube.id),
      lit: this.lit === tube.id, selected: this.selected === tube.id, here: here.has(tube.id),
    }));
    const shown = this.shown().length;
    $("count").textContent = `${shown} of ${tubes.length} shown`;
    const below = tubes.filter((tube) => tube.score < this.threshold).length;
    $("below").textContent = below ? `${below} more score below ${this.threshold.toFixed(2)}.` : "";
    this.rows.draw(this.view(), (tube) => `rgb(${this.colours.get(tube.id)})`);
    this.scale();
    this.draw();
    this.needle((this.now.time - this.view()[0]) / (this.view()[1] - this.view()[0]));
    this.spoken();
  }

  scale() {
    const canvas = $("scale"), density = devicePixelRatio || 1, [from, to] = this.view();
    [canvas.width, canvas.height] = [Math.round(canvas.clientWidth * density), Math.round(18 * density)];
    if (!canvas.width) return;
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
    const step = steps.find((one) => (one / (to - from)) * canvas.width > 70 * density) || 7200;
    context.font = `${12 * density}px system-ui, "DejaVu Sans", sans-serif`;
    context.fillStyle = context.strokeStyle = style.getPropertyValue("--soft");
    for (let k = Math.ceil(from / step); k * step < to; k++) {
      const x = ((k * step - from) / (to - from)) * canvas.width;
      context.fillRect(x, 0, density, 5 * density);
      context.fillText(Viewer.clockText(k * step, step), Math.min(x + 3 * density, canvas.width - 40 * density), 14 * density);
    }
  }

  static clockText(seconds, step) {
    if (seconds < 60) return `${seconds.toFixed(step < 1 ? 1 : 0)} s`;
    const whole = Math.round(seconds), two = (value) => String(value).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  state() {
    const playing = Boolean(this.clock?.playing);
    $("play").textContent = playing ? "⏸" : "▶";
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (!playing && this.clock) this.settle();
  }

  /** What follows a picture that stays: words for who does not see it, and its address. Not for each of a quick row. */
  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.spoken();
      this.keep();
    }, 120);
  }

  // What a person does

  act(what, tube, value) {
    if (what === "hide") this.flip(this.hidden, tube.id);
    if (what === "solo") for (const kin of Panels.kin(this.head, tube.id)) this.flip(this.solo, kin.id);
    if (what === "colour") this.colours.set(tube.id, Painter.colour(value));
    if (what === "select") {
      this.selected = this.selected === tube.id ? null : tube.id;
      if (this.selected !== null && tube.spans.length && !tube.spans.some(([a, b]) => a <= this.now.position && this.now.position <= b)) {
        this.clock.seek(tube.spans[0][0]);
      }
      this.keep();
    }
    if (what === "light") return this.light(tube?.id ?? null);
    if (what === "seek") {
      const box = value.currentTarget.getBoundingClientRect(), [from, to] = this.view();
      return this.go(from + ((value.clientX - box.left) / box.width) * (to - from));
    }
    return this.refresh();
  }

  flip(set, id) { set.has(id) ? set.delete(id) : set.add(id); }

  light(id) {
    if (this.lit === id) return;
    this.lit = id;
    for (const row of this.rows.rows) row.item.classList.toggle("lit", row.tube.id === id);
    this.paint();
  }

  /** Go to the frame that is shown at a time of the source. */
  go(time) {
    const place = lastNotAbove(this.head.times, time + 1e-4);
    this.clock.seek(Math.min(Math.max(place, 0), this.head.times.length - 1));
  }

  step(frames) {
    this.clock.pause();
    const from = this.now.position < 0 ? (frames > 0 ? -1 : 0) : this.now.position;
    this.clock.seek(Math.min(Math.max(from + frames, 0), this.head.frames.length - 1));
  }

  toggle() {
    if (this.clock.playing) return this.clock.pause();
    return this.clock.play()?.catch((error) => this.tell(`The video does not play: ${error.message}`, true));
  }

  choose(by) {
    const rows = this.rows.rows.filter((row) => !row.item.hidden);
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.item.contains(document.activeElement));
    const known = at >= 0 ? at : rows.findIndex((row) => row.tube.id === this.selected);
    const row = rows[Math.min(Math.max(known + by, 0), rows.length - 1)];
    this.selected = row.tube.id;
    row.select.focus();
    this.keep();
    this.refresh();
  }

  chosen() { return this.head.tubes.find((tube) => tube.id === (this.selected ?? this.lit)); }

  // Links

  keep() {
    if (!this.clock || this.now.position < 0) return;
    try {
      history.replaceState(null, "", this.hash());
    } catch { /* a page within a notebook has no address of its own */ }
  }

  hash() {
    const track = this.selected === null ? "" : `&track=${this.selected}`;
    return `#t=${Number(this.head.times[this.now.position].toFixed(4))}${track}`;
  }

  /** Follow a link: #t=SECONDS&track=NUMBER. Return whether it says a moment. */
  open(hash) {
    const wish = new URLSearchParams(hash.slice(1));
    const track = this.head.tubes.find((tube) => String(tube.id) === wish.get("track"));
    if (track) {
      this.selected = track.id;
      if (track.score < this.threshold) this.threshold = $("threshold").value = Math.floor(track.score * 100) / 100;
    } else if (wish.get("track")) this.tell(`There is no track ${wish.get("track")} in this page.`, true);
    const time = wish.get("t") === null ? NaN : Number(wish.get("t"));
    if (Number.isFinite(time)) this.go(time);
    else if (track?.spans.length) this.clock.seek(track.spans[0][0]);
    this.refresh();
    if (track) this.rows.rows.find((row) => row.tube === track).item.scrollIntoView({ block: "nearest" });
    return Number.isFinite(time) || Boolean(track?.spans.length);
  }

  async copyLink() {
    this.keep();
    const link = location.href.split("#")[0] + this.hash();
    try {
      await navigator.clipboard.writeText(link);
      this.tell("The link is copied.");
    } catch {
      this.tell(link); // to be copied by hand
    }
  }

  // Files

  stem() { return this.head.source.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-") || "video"; }

  async savePicture() {
    this.clock.pause();
    try {
      const shown = this.panels.map((panel) => ({ masks: panel.masks, tags: this.labels(panel.own(this.seen)) }));
      const blob = await Exports.picture(this.head, this.head.media && $("video"), shown);
      Exports.give(blob, `${this.stem()}-frame-${this.head.frames[Math.max(this.now.position, 0)]}.png`);
      this.tell("The picture is saved.");
    } catch (error) {
      this.tell(`No picture: ${error.message}`, true);
    }
  }

  async saveTracks() {
    const tubes = this.shown();
    if (!tubes.length) return this.tell("No track is shown: lower the score or show all.", true);
    try {
      const told = (done, all) => this.tell(`Reading masks: ${done} of ${all}`);
      Exports.give(await Exports.selection(this.head, this.pieces, tubes, told), `${this.stem()}-tracks.json`);
      this.tell(`${tubes.length} tracks are saved; ovvis export and ovvis view read them.`);
    } catch (error) {
      this.tell(`No tracks: ${error.message}`, true);
    }
    return undefined;
  }

  // Wires

  listen() {
    const on = (id, name, act) => $(id).addEventListener(name, act);
    on("play", "click", () => this.toggle());
    on("back", "click", () => this.step(-1));
    on("next", "click", () => this.step(1));
    on("speed", "change", () => (this.clock.rate = Number($("speed").value)));
    on("seek", "input", () => this.clock.seek(Number($("seek").value)));
    on("threshold", "input", () => { this.threshold = Number($("threshold").value); this.refresh(); });
    for (const id of ["opacity", "names", "outlines"]) on(id, "input", () => this.paint());
    on("find", "input", () => this.refresh());
    on("all", "click", () => this.showAll());
    on("in", "click", () => { this.zoom = Math.min(this.zoom * 2, 512); this.refresh(); });
    on("out", "click", () => { this.zoom = Math.max(this.zoom / 2, 1); this.refresh(); });
    on("link", "click", () => this.copyLink());
    on("keys", "click", () => $("help").showModal());
    on("save-picture", "click", () => this.savePicture());
    on("save-tracks", "click", () => this.saveTracks());
    on("theme", "change", () => this.theme($("theme").value));
    for (const { masks, painter, own } of this.panels) {
      masks.addEventListener("pointermove", (event) => this.light(painter.under(event, own(this.seen))?.id ?? null));
      masks.addEventListener("pointerleave", () => this.light(null));
      masks.addEventListener("click", (event) => {
        const tube = painter.under(event, own(this.seen));
        if (tube) this.act(event.shiftKey ? "hide" : "solo", tube);
      });
    }
    addEventListener("hashchange", () => this.open(location.hash));
    addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe($("stage"));
    new ResizeObserver(() => this.refresh()).observe($("timeline"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.refresh());
    let kept = "";
    try { kept = localStorage.getItem("ovvis-theme") || ""; } catch { /* pages of files may keep nothing */ }
    $("theme").value = kept;
    document.documentElement.dataset.theme = kept;
  }

  theme(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("ovvis-theme", name); } catch { /* as above */ }
    this.refresh();
  }

  showAll() {
    this.hidden.clear();
    this.solo.clear();
    $("find").value = "";
    this.refresh();
  }

  key(event) {
    const field = event.target.closest?.("input, select, textarea, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (field && !(field.type === "checkbox" && event.key !== " ") && event.key !== "Escape") return;
    if (event.key === " " && event.target.closest?.("button")) return; // it presses the button
    const tube = this.chosen(), second = Math.max(Math.round(this.head.fps), 1);
    const keys = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.step(event.shiftKey ? -second : -1),
      ArrowRight: () => this.step(event.shiftKey ? second : 1),
      Home: () => this.clock.seek(0),
      End: () => this.clock.seek(this.head.frames.length - 1),
      ArrowUp: () => this.choose(-1),
      ArrowDown: () => this.choose(1),
      h: () => tube && this.act("hide", tube),
      s: () => tube && this.act("solo", tube),
      a: () => this.showAll(),
      n: () => $("names").click(),
      o: () => $("outlines").click(),
      e: () => this.savePicture(),
      "[": () => this.raise(-0.01),
      "]": () => this.raise(0.01),
      "?": () => $("help").showModal(),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  raise(by) {
    this.threshold = Math.min(Math.max(Math.round((this.threshold + by) * 100) / 100, 0), 1);
    $("threshold").value = this.threshold;
    this.refresh();
  }

  /** Make the pictures as large as their place allows, with the shape that the video is shown with. */
  resize() {
    const aspect = (this.head.width * this.head.pixelAspect) / this.head.height;
    const narrow = matchMedia("(max-width: 760px), (max-height: 560px)").matches;
    const width = Panels.width(this.panels.length, $("stage"), aspect, narrow);
    for (const { box } of this.panels) {
      box.style.width = `${width}px`;
      box.style.height = `${width / aspect}px`;
    }
    this.paint();
  }
}

const viewer = new Viewer(JSON.parse($("head").textContent));
globalThis.ovvisViewer = viewer;
viewer.start();
