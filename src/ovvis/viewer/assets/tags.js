// Names in the picture: a tag at each mask's box, inside the picture, and not over another tag where there is room.

class Tags {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  /** Draw tags { text, colour: [r, g, b], box } over a picture of `width` x `height` video pixels. */
  paint(tags, width, height, shownWidth, shownHeight, density = 1) {
    const canvas = this.canvas, across = Math.round(shownWidth * density), down = Math.round(shownHeight * density);
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    this.context.clearRect(0, 0, across, down);
    Tags.draw(this.context, tags, width, height, across, down, density);
  }

  static draw(context, tags, width, height, across, down, density) {
    const size = Math.round(13 * density), pad = 4 * density, tall = size + pad;
    context.font = `600 ${size}px system-ui, "DejaVu Sans", sans-serif`;
    context.textBaseline = "middle";
    const taken = [];
    for (const tag of tags) {
      const text = Tags.fit(context, tag.text, across * 0.6), wide = context.measureText(text).width + 2 * pad;
      const [left, top, right, bottom] = [tag.box[0] / width * across, tag.box[1] / height * down, tag.box[2] / width * across, tag.box[3] / height * down];
      const inside = ([x, y]) => [Math.min(Math.max(x, 0), Math.max(across - wide, 0)), Math.min(Math.max(y, 0), Math.max(down - tall, 0))];
      const places = [[left, top - tall], [left, bottom], [right - wide, top - tall], [right - wide, bottom], [left, top], [left, bottom - tall]].map(inside);
      const free = ([x, y]) => taken.every(([a, b, w]) => x + wide <= a || a + w <= x || y + tall <= b || b + tall <= y);
      const [x, y] = places.find(free) || places[0];
      taken.push([x, y, wide]);
      context.fillStyle = `rgb(${tag.colour})`;
      context.beginPath();
      context.roundRect(x, y, wide, tall, 3 * density);
      context.fill();
      const [red, green, blue] = tag.colour;
      context.fillStyle = red * 0.299 + green * 0.587 + blue * 0.114 < 140 ? "#fff" : "#000";
      context.fillText(text, x + pad, y + tall / 2);
    }
  }

  static fit(context, text, most) {
    if (context.measureText(text).width <= most) return text;
    let length = text.length;
    while (length > 1 && context.measureText(text.slice(0, length) + "…").width > most) length = Math.floor(length * 0.9);
    return text.slice(0, length) + "…";
  }
}

