// Masks onto a canvas of the video's pixels. They are drawn lying on their side, as the codes run down the columns and
// whole runs can be filled at once; the browser turns the picture.

class Painter {
  constructor(canvas, width, height) {
    [canvas.width, canvas.height] = [width, height];
    this.canvas = canvas;
    this.target = canvas.getContext("2d");
    this.height = height;
    this.side = document.createElement("canvas");
    [this.side.width, this.side.height] = [height, width];
    this.context = this.side.getContext("2d", { willReadFrequently: true });
    this.image = this.context.createImageData(height, width);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.line = Math.max(1, Math.round(Math.min(width, height) / 360));
  }

  /** Paint masks, smaller ones on top: { runs, area, colour: [r, g, b], fill, line }, the last two opacities to 1. */
  paint(masks, outlines = true) {
    this.pixels.fill(0);
    const size = this.pixels.length;
    for (const mask of [...masks].sort((a, b) => b.area - a.area)) {
      const fill = Painter.word(mask.colour, mask.fill), line = Painter.word(mask.colour, mask.line);
      const runs = mask.runs;
      if (!outlines) {
        for (let i = 0; i < runs.length; i += 2) this.pixels.fill(fill, runs[i], Math.min(runs[i + 1], size));
        continue;
      }
      for (let i = 0; i < runs.length; i += 2) this.pixels.fill(line, runs[i], Math.min(runs[i + 1], size));
      const inner = Codes.inner(runs, this.height, this.line);
      for (let i = 0; i < inner.length; i += 2) this.pixels.fill(fill, inner[i], Math.min(inner[i + 1], size));
    }
    this.context.putImageData(this.image, 0, 0);
    const target = this.target;
    target.setTransform(1, 0, 0, 1, 0, 0);
    target.clearRect(0, 0, this.canvas.width, this.canvas.height);
    target.imageSmoothingEnabled = false;
    target.setTransform(0, 1, 1, 0, 0, 0); // x and y change places
    target.drawImage(this.side, 0, 0);
  }

  /** Return a pixel as ImageData stores it on the usual, little-endian, machines; never quite clear. */
  static word([red, green, blue], opacity) {
    const alpha = Math.max(1, Math.round(opacity * 255));
    return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }

  static colour(text) {
    return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  }
}

