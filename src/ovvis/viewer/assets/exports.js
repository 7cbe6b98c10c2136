// What a person takes away: the picture as it is seen, and the tracks that are shown.

const Exports = {
  /** Give a file to keep. */
  give(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  },

  /** Return the picture with its masks and names as a PNG, of the video's own pixels, made square; of several results
   * one beside the other: `shown` has { masks, tags } of each. */
  picture(head, video, shown) {
    const width = Math.round(head.width * Math.max(head.pixelAspect, 1));
    const height = Math.round(head.height * Math.max(1 / head.pixelAspect, 1));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width * shown.length, height];
    const context = canvas.getContext("2d");
    shown.forEach(({ masks, tags }, n) => {
      context.setTransform(1, 0, 0, 1, n * width, 0);
      context.fillStyle = "#808080";
      context.fillRect(0, 0, width, height);
      if (video) {
        const { width: stored, height: high } = head.media; // a copy may be one pixel larger
        context.drawImage(video, 0, 0, (width * stored) / head.width, (height * high) / head.height);
      }
      context.drawImage(masks, 0, 0, width, height);
      Tags.draw(context, tags, head.width, head.height, width, height, 1);
    });
    return new Promise((resolve, reject) => {
      try {
        canvas.toBlob((blob) => (blob ? resolve(blob) : reject(Error("the picture is too large for this browser"))), "image/png");
      } catch (error) {
        const beside = "this browser keeps no picture of a video that lies beside the page: use ovvis view, or embed the video";
        reject(error.name === "SecurityError" ? Error(beside) : error);
      }
    });
  },

  /** Return tracks as a tracks.json that ovvis reads: those of the given tubes, under their best names. */
  async selection(head, pieces, tubes, told) {
    const line = (value) => JSON.stringify(value);
    const text = new TextDecoder();
    const facts = {
      format: "ovvis-tracks", version: 1,
      video: {
        source: head.source, height: head.height, width: head.width, pixel_aspect: head.aspectTerms,
        fps: head.fps, frames: head.frames, times: head.times,
      },
      vocabulary: head.vocabulary, settings: head.settings, seconds: {}, problem: head.problem,
      notes: [...head.notes, `${tubes.length} of ${head.tubes.length} tracks were chosen in the viewer`],
    };
    const size = [head.height, head.width], found = tubes.map(() => []);
    for (let n = 0; n < head.pieces; n++) {
      const piece = await pieces.open(n);
      tubes.forEach((tube, row) => {
        for (let i = 0; i < piece.frames; i++) {
          const code = Pieces.code(piece, head.tubes.indexOf(tube), piece.first + i);
          found[row].push(code ? line({ size, counts: text.decode(code) }) : "null");
        }
        found[row].splice(0, found[row].length, found[row].join(",")); // one long text, not many short ones
      });
      told(n + 1, head.pieces);
    }
    const tracks = tubes.map((tube, row) => {
      const start = line({
        video_id: 1, category_id: tube.labelIndex + 1, score: tube.score, id: tube.id, label: tube.label, labels: tube.names,
      });
      return `${start.slice(0, -1)},"segmentations":[${found[row].join(",")}]}`;
    });
    const parts = [line(facts).slice(0, -1), ',"tracks":[\n'];
    tracks.forEach((track, i) => parts.push(i ? ",\n" : "", track));
    return new Blob([...parts, "\n]}\n"], { type: "application/json" });
  },
};

