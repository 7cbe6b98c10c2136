// Run-length codes: from COCO's text to runs, and what can be said of runs without drawing them.
// A run is a pair [start, end) of positions that count down the columns: x * height + y.

const Codes = {
  /** Return the runs of a code as one Int32Array: start, end, start, end, ... */
  runs(bytes) {
    const out = new Int32Array(bytes.length + 2);
    let used = 0, at = 0, place = 0, count = 0;
    let last = 0, beforeLast = 0; // run lengths: from the fourth on, a code holds the difference to the one before the last
    while (at < bytes.length) {
      let value = 0, shift = 0, sign;
      do {
        sign = bytes[at++] - 48;
        value |= (sign & 31) << shift;
        shift += 5;
      } while (sign & 32 && at < bytes.length);
      if (sign & 16 && shift < 32) value |= -1 << shift;
      if (count > 2) value += beforeLast;
      beforeLast = last;
      last = value;
      if (count & 1 && value > 0) {
        if (used && out[used - 1] === place) out[used - 1] = place + value;
        else {
          out[used++] = place;
          out[used++] = place + value;
        }
      }
      place += value;
      count++;
    }
    return out.subarray(0, used);
  },

  area(runs) {
    let area = 0;
    for (let i = 0; i < runs.length; i += 2) area += runs[i + 1] - runs[i];
    return area;
  },

  /** Return left, top, right, bottom; right and bottom lie outside. */
  box(runs, height) {
    let top = height, bottom = 0;
    if (!runs.length) return [0, 0, 0, 0];
    for (let i = 0; i < runs.length; i += 2) {
      const first = runs[i] % height, end = first + runs[i + 1] - runs[i];
      if (first < top) top = first;
      if (end > height) [top, bottom] = [0, height]; // it goes on in the next column
      else if (end > bottom) bottom = end;
    }
    return [Math.floor(runs[0] / height), top, Math.floor((runs[runs.length - 1] - 1) / height) + 1, bottom];
  },

  /** Return those of some tubes that are seen, as { tube, runs, area, box }; `code(tube, row)` gives bytes or null. */
  seen(tubes, height, code) {
    const found = [];
    tubes.forEach((tube, row) => {
      const bytes = code(tube, row);
      if (!bytes) return;
      const runs = Codes.runs(bytes), area = Codes.area(runs);
      if (area) found.push({ tube, runs, area, box: Codes.box(runs, height) });
    });
    return found;
  },

  holds(runs, place) {
    let low = 0, high = runs.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[2 * middle + 1] <= place) low = middle + 1;
      else high = middle;
    }
    return 2 * low < runs.length && runs[2 * low] <= place;
  },

  /** Return the runs without their outermost pixels: an outline `steps` wide is what is missing. */
  inner(runs, height, steps) {
    const right = Codes._meet(runs, height * steps, runs, -height * steps);
    const tall = new Int32Array(runs.length);
    let used = 0;
    for (let i = 0; i < runs.length; i += 2) {
      if (runs[i + 1] - runs[i] <= 2 * steps) continue;
      tall[used++] = runs[i] + steps;
      tall[used++] = runs[i + 1] - steps;
    }
    return Codes._meet(right, 0, tall.subarray(0, used), 0);
  },

  /** Return what two lists of runs have in common after each was moved. */
  _meet(a, moveA, b, moveB) {
    const out = new Int32Array(a.length + b.length);
    let used = 0, i = 0, j = 0;
    while (i < a.length && j < b.length) {
      const start = Math.max(a[i] + moveA, b[j] + moveB);
      const endA = a[i + 1] + moveA, endB = b[j + 1] + moveB;
      if (start < Math.min(endA, endB)) {
        out[used++] = start;
        out[used++] = Math.min(endA, endB);
      }
      if (endA < endB) i += 2;
      else j += 2;
    }
    return out.subarray(0, used);
  },
};

