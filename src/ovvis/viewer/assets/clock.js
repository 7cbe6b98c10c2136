// Which frame is shown. A clock tells `onframe({ time, position, exact })` for each picture: time in the source, seconds;
// position of the result's frame shown or the last one before it (-1: before the first); exact: whether it is that frame.

/** Return the last place in a rising list that is not above a value, or -1. */
function lastNotAbove(list, value) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A video element. The browser says by itself which picture it shows; where it cannot, its clock must do. */
class VideoClock {
  constructor(video, head) {
    this.video = video;
    this.head = head;
    this.times = head.media.times; // of the video's own frames that belong to the result
    this.positions = head.media.positions;
    this.slack = Math.min(head.media.step / 2, 0.002) + 1e-6;
    this.base = null; // what the browser calls the time of the first picture
    this.wanted = null; // a place to go to as soon as that is known
    this.sure = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
    this.onframe = () => {};
    this.onstate = () => {};
    for (const name of ["play", "pause", "ended", "ratechange", "error", "seeked"]) video.addEventListener(name, () => this.onstate());
    if (this.sure) {
      this._listen();
      this._insist();
    } else {
      video.addEventListener("loadeddata", () => this._shown(video.currentTime));
      for (const name of ["timeupdate", "seeked"]) video.addEventListener(name, () => this._shown(video.currentTime));
    }
  }

  get playing() { return !this.video.paused && !this.video.ended; }
  get rate() { return this.video.playbackRate; }
  set rate(value) { this.video.playbackRate = value; }
  play() { return this.video.play(); }
  pause() { this.video.pause(); }

  /** Show a frame of the result. */
  seek(position) {
    let place = position;
    if (this.positions) place = Math.max(lastNotAbove(this.positions, position), 0);
    this.wanted = this.times[place];
    if (this.base !== null) this._jump();
  }

  _jump() {
    // Into the frame, not onto its edge, where rounding would decide.
    this.video.currentTime = this.base + this.wanted + Math.min(this.head.media.step / 2, 0.01);
    this.wanted = null;
  }

  _listen() {
    this.video.requestVideoFrameCallback((_, facts) => {
      this._shown(facts.mediaTime);
      this._listen();
    });
  }

  /** Browsers sometimes tell nothing of the picture that a jump led to: jump again, by less than it shows. */
  _insist() {
    const { video } = this;
    let by = 1e-5;
    const again = () => setTimeout(() => {
      if (!this.expecting || video.seeking || !video.paused) return;
      by = -by;
      video.currentTime += by;
    }, 150);
    video.addEventListener("seeking", () => (this.expecting = true));
    video.addEventListener("seeked", again);
  }

  _shown(mediaTime) {
    if (!this.video.seeking) this.expecting = false;
    if (this.base === null) {
      this.base = mediaTime;
      if (this.wanted > this.slack) return this._jump();
      this.wanted = null;
    }
    const time = mediaTime - this.base, place = lastNotAbove(this.times, time + this.slack);
    const exact = place >= 0 && (!this.sure || time - this.times[place] <= this.slack);
    const position = place >= 0 && this.positions ? this.positions[place] : place;
    const own = place < 0 ? time : this.head.times[position] + time - this.times[place];
    return this.onframe({ time: own, position, exact, sure: this.sure });
  }
}

/** No video: the result's own times. */
class PlainClock {
  constructor(head) {
    this.head = head;
    this.position = 0;
    this.rate = 1;
    this.playing = false;
    this.onframe = () => {};
    this.onstate = () => {};
    const times = head.times.map((time) => time - head.times[0]);
    const forward = times.every((time, i) => i === 0 || time > times[i - 1]);
    this.times = forward ? times : times.map((_, i) => i / head.fps);
  }

  play() {
    if (this.position >= this.times.length - 1) this.position = 0;
    this.playing = true;
    let begun = performance.now(), from = this.times[this.position], rate = this.rate;
    this.run = (this.run || 0) + 1;
    const own = this.run;
    const tick = (now) => {
      if (!this.playing || own !== this.run) return;
      if (this.rate !== rate) [begun, from, rate] = [now, this.times[this.position], this.rate];
      const next = Math.max(lastNotAbove(this.times, from + ((now - begun) / 1000) * rate), 0);
      if (next !== this.position) this.seek(next, true);
      if (next >= this.times.length - 1) this.pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    this.onstate();
    return Promise.resolve();
  }

  pause() {
    this.playing = false;
    this.onstate();
  }

  seek(position, running = false) {
    this.position = Math.min(Math.max(position, 0), this.times.length - 1);
    if (!running && this.playing) this.play();
    this.onframe({ time: this.head.times[this.position], position: this.position, exact: true, sure: true });
  }
}

