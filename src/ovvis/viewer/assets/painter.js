// Masks onto a canvas of the video's pixels. They are drawn lying on their side, as the codes run down the columns and
// whole runs can be filled at once; the browser turns the picture.

class Painter {
  constructor(canvas, width, height) {
    [canvas.width, canvas.height] = [width, height];
    this.canvas = canvas;
    this.target = canvas.getContext("2d");
    this.height = height;
    Object.assign(this, Painter._side(width, height));
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

  /** Return what masks of a size are drawn on before they are turned; a page of many pictures needs one of each size. */
  static _side(width, height) {
    const key = `${width}x${height}`;
    if (!Painter._sides.has(key)) {
      const side = document.createElement("canvas");
      [side.width, side.height] = [height, width];
      const context = side.getContext("2d", { willReadFrequently: true });
      const image = context.createImageData(height, width);
      Painter._sides.set(key, { side, context, image, pixels: new Uint32Array(image.data.buffer) });
    }
    return Painter._sides.get(key);
  }

  /**
   * Return masks as `paint` takes them, of { tube, runs, area }: the lit track stronger and all others paler, or all
   * alike (`lit` null). `colours` has those of the tubes' ids; `held` makes all paler.
   */
  static shades(seen, lit, colours, opacity, held = 1) {
    return seen.map(({ tube, runs, area }) => {
      const clear = lit === null || lit === tube.id;
      const fill = lit === tube.id ? Math.min(opacity + 0.3, 1) : clear ? opacity : opacity * 0.3;
      return { runs, area, colour: colours.get(tube.id), fill: fill * held, line: (clear ? 1 : 0.3) * held };
    });
  }

  /** Return the tube of the smallest mask under the pointer, or null. */
  under(event, seen) {
    const box = this.canvas.getBoundingClientRect(), { width, height } = this.canvas;
    const x = Math.floor(((event.clientX - box.left) / box.width) * width), y = Math.floor(((event.clientY - box.top) / box.height) * height);
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const found = seen.filter(({ runs }) => Codes.holds(runs, x * height + y)).sort((a, b) => a.area - b.area);
    return found[0]?.tube ?? null;
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
Painter._sides = new Map();
