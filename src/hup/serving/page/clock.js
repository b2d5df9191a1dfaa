// What the answers' `now` is: the last event, this machine's clock, or a clock that the viewer runs or moves.

const DAY = 86400;
const wall = () => Date.now() / 1000;

export class Clock {
  constructor() {
    this.reset();
  }

  reset() {
    this.mode = "last"; // "last", "real", "run" or "held"
    this.latest = null;
    this.speed = 10;
    this.chosen = false; // whether a person chose the mode
  }

  /** Take the time of the newest event. Events of today are watched in real time, unless told otherwise. */
  follow(latest) {
    const first = this.latest === null;
    this.latest = latest ?? null;
    if (this.latest === null) this.mode = "last";
    else if (first && !this.chosen && Math.abs(wall() - this.latest) < DAY) this.mode = "real";
  }

  atLast() {
    this.chosen = true;
    this.mode = "last";
  }

  inReal() {
    this.chosen = true;
    this.mode = "real";
  }

  /** Let time pass at a speed, from where the clock is or from a moment. */
  run(speed, from = null) {
    this.chosen = true;
    const start = from ?? this.now() ?? this.latest;
    Object.assign(this, { mode: "run", speed, start, began: performance.now() });
  }

  hold() {
    Object.assign(this, { start: this.now() ?? this.latest, mode: "held" });
  }

  skip(seconds) {
    this.chosen = true;
    const to = (this.now() ?? this.latest) + seconds;
    if (this.mode === "run") Object.assign(this, { start: to, began: performance.now() });
    else Object.assign(this, { start: to, mode: "held" });
  }

  /** Seconds on the events' clock, never before the newest event; null asks for answers as of that one. */
  now() {
    if (this.latest === null || this.mode === "last") return null;
    if (this.mode === "real") return Math.max(wall(), this.latest);
    const passed = this.mode === "run" ? ((performance.now() - this.began) / 1000) * this.speed : 0;
    return Math.max(this.start + passed, this.latest);
  }

  get elapsed() {
    return this.latest === null ? null : (this.now() ?? this.latest) - this.latest;
  }

  get moves() {
    return this.mode === "real" || this.mode === "run";
  }
}
