// Where masks and video come from. A loader has two functions, both of which give promises:
//   piece(n)  the compressed bytes of piece n (Uint8Array)
//   media()   the address of the video, or null
// One reads them from the page's own elements, one asks a server. `Pieces` unpacks and keeps a few.

const Loaders = {
  /** From elements `piece-0`, ... and `media-0`, ... which may still be on their way into the page. */
  embedded(facts) {
    return {
      piece: (n) => Loaders._element(`piece-${n}`).then(Loaders._bytes),
      async media() {
        if (!facts) return null;
        const bits = [];
        for (let i = 0; i < facts.bits; i++) {
          const element = await Loaders._element(`media-${i}`);
          bits.push(Loaders._bytes(element));
          element.textContent = ""; // a video need not lie in memory twice
        }
        return URL.createObjectURL(new Blob(bits, { type: facts.type }));
      },
    };
  },

  /** From a server: `{n}` in the address is the piece's number. */
  fetched(address) {
    return {
      async piece(n) {
        const answer = await fetch(address.replace("{n}", n));
        if (!answer.ok) throw Error(`the server answered ${answer.status} for masks`);
        return new Uint8Array(await answer.arrayBuffer());
      },
    };
  },

  of(head) {
    const own = Loaders.embedded(head.media);
    const pieces = head.places.pieces ? Loaders.fetched(head.places.pieces) : own;
    const place = head.places.media;
    return { piece: pieces.piece, media: place ? async () => place : own.media };
  },

  async _element(id) {
    for (;;) {
      const element = document.getElementById(id);
      // The last element to come may be there in part; whatever follows it says that it is whole.
      if (element && (element.nextElementSibling || document.readyState !== "loading")) return element;
      if (document.readyState !== "loading") throw Error("the file is cut off: copy it again");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },

  _bytes(element) {
    const text = element.textContent;
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text), bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  },
};

class Pieces {
  constructor(head, loader, kept = 8) {
    this.head = head;
    this.loader = loader;
    this.kept = kept;
    this.opened = new Map(); // number -> promise; the piece used last comes last
    this.ready = new Map(); // number -> piece
  }

  /** Return the piece of a frame if it is here; ask for it, and for the one that comes next, if not. */
  at(position) {
    const number = Math.floor(position / this.head.pieceFrames);
    this.open(number);
    if (number + 1 < this.head.pieces && position % this.head.pieceFrames > this.head.pieceFrames / 4) this.open(number + 1);
    return this.ready.get(number);
  }

  open(number) {
    let opening = this.opened.get(number);
    if (opening) this.opened.delete(number);
    else opening = this._load(number);
    this.opened.set(number, opening);
    for (const old of this.opened.keys()) {
      if (this.opened.size <= this.kept) break;
      this.opened.delete(old);
      this.ready.delete(old);
    }
    return opening;
  }

  async _load(number) {
    try {
      const packed = await this.loader.piece(number);
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
      const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
      const frames = Math.min(this.head.pieceFrames, this.head.frames.length - number * this.head.pieceFrames);
      const count = frames * this.head.tubes.length;
      const lengths = new Uint32Array(bytes.buffer, 0, count), starts = new Uint32Array(count + 1);
      starts[0] = 4 * count;
      for (let i = 0; i < count; i++) starts[i + 1] = starts[i] + lengths[i];
      const piece = { first: number * this.head.pieceFrames, frames, bytes, starts };
      if (this.opened.has(number)) this.ready.set(number, piece);
      return piece;
    } catch (error) {
      this.opened.delete(number);
      throw error;
    }
  }

  /** Return a tube's code in a frame (bytes), or null where it is not seen. */
  static code(piece, tube, position) {
    const place = tube * piece.frames + position - piece.first;
    const start = piece.starts[place], end = piece.starts[place + 1];
    return start === end ? null : piece.bytes.subarray(start, end);
  }
}

