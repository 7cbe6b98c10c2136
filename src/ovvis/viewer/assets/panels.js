// A picture for each result that a page shows of one video, side by side on one time line. The first has the video; the
// others copy what it shows. A page of one result has one picture.

const Panels = {
  /** Return the pictures as { box, masks, names, painter, copy, own }; `own(seen)` are those of what is seen that are its. */
  of(head) {
    const names = head.panels || [""];
    const first = { box: $("picture"), masks: $("masks"), tags: $("tags"), copy: null };
    const all = names.map((_, n) => (n ? Panels._another(head) : first));
    if (head.panels) {
      for (const id of ["stage", "timeline"]) $(id).classList.add("several");
      $("save-tracks").hidden = true; // they are of several results
      all.forEach(({ box }, n) => {
        const figure = document.createElement("figure"), title = document.createElement("figcaption");
        title.textContent = head.plain[names[n]] ?? names[n];
        figure.append(title, box);
        $("stage").append(figure);
      });
    }
    return all.map(({ box, masks, tags, copy }, n) => ({
      box, masks, copy, painter: new Painter(masks, head.width, head.height), names: new Tags(tags),
      own: (seen) => (head.panels ? seen.filter(({ tube }) => tube.panel === n) : seen),
    }));
  },

  _another(head) {
    const box = document.createElement("div");
    const [copy, masks, tags] = ["copy", "masks", "tags"].map((name) => Object.assign(document.createElement("canvas"), { className: name }));
    [copy.width, copy.height] = [head.width, head.height];
    tags.setAttribute("aria-hidden", "true");
    box.className = "picture";
    box.append(copy, masks, tags);
    return { box, masks, tags, copy };
  },

  /** Show in the other pictures what the video shows, or nothing where it is not here. */
  copy(panels, head, video) {
    if (head.media && video.readyState < 2) { // told of a picture while the jump to it is still under way
      for (const name of ["seeked", "loadeddata"]) video.addEventListener(name, () => video.readyState > 1 && Panels.copy(panels, head, video), { once: true });
    }
    for (const { copy } of panels) {
      if (!copy) continue;
      const context = copy.getContext("2d");
      if (!head.media) context.clearRect(0, 0, copy.width, copy.height);
      else if (video.readyState > 1) context.drawImage(video, 0, 0, head.media.width, head.media.height); // a copy may be one pixel larger
    }
  },

  /** Return the tubes that are one object in several results; the tube itself where there is one result. */
  kin(head, id) {
    const tube = head.tubes.find((one) => one.id === id);
    if (!tube) return [];
    return tube.object === undefined ? [tube] : head.tubes.filter((one) => one.object === tube.object);
  },

  /** Return how wide each picture may be. */
  width(count, stage, aspect, narrow) {
    if (count === 1) return Math.min(stage.clientWidth, narrow ? Infinity : stage.clientHeight * aspect);
    const [gap, title] = [8, 24];
    let best = 0;
    for (let columns = 1; columns <= (narrow ? 1 : count); columns++) {
      const rows = Math.ceil(count / columns);
      const across = (stage.clientWidth - gap * (columns - 1)) / columns;
      const down = (stage.clientHeight - gap * (rows - 1)) / rows - title;
      best = Math.max(best, Math.floor(Math.min(across, narrow ? Infinity : down * aspect)));
    }
    return best;
  },

  /** List the moments that the page tells of; each is a way to it. */
  moments(head, plain, go) {
    if (!head.moments?.length) return;
    $("moments").hidden = false;
    $("moments").replaceChildren(...head.moments.map(([position, text]) => {
      const item = document.createElement("li"), button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: `${head.times[position].toFixed(2)} s` });
      button.addEventListener("click", () => go(position));
      item.append(button, plain(text));
      return item;
    }));
  },
};

