// Plays a session: an event after the other, with the time between them as it was, faster, or a second each.

export class Replay {
  /** `changed(replay)` is called whenever more or fewer events are shown, or it starts or stops. */
  constructor(events, pace, changed) {
    Object.assign(this, { events, pace, changed, at: 1, timer: null, due: null });
  }

  get shown() {
    return this.events.slice(0, this.at);
  }

  get isPlaying() {
    return this.timer !== null;
  }

  get isOver() {
    return this.at >= this.events.length;
  }

  /** How much faster than life time passes while it plays; null where each event has its second. */
  get speed() {
    return this.pace === "second" ? null : Number(this.pace);
  }

  play() {
    if (this.isOver) this.at = 1;
    this.schedule();
    this.changed(this);
  }

  schedule() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.isOver) return;
    const wait = this.wait();
    this.due = performance.now() + wait * 1000;
    this.timer = setTimeout(() => {
      this.at += 1;
      this.schedule();
      this.changed(this);
    }, Math.min(wait * 1000, 2 ** 31 - 1));
  }

  /** Seconds of life until the next event. */
  wait() {
    const [last, next] = [this.events[this.at - 1].timestamp, this.events[this.at].timestamp];
    if (this.speed === null || typeof last !== "number" || typeof next !== "number") return 1;
    return (next - last) / this.speed;
  }

  get secondsLeft() {
    return this.isPlaying ? Math.max(0, (this.due - performance.now()) / 1000) : null;
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.changed(this);
  }

  show(count) {
    this.at = Math.min(Math.max(1, count), this.events.length);
    if (this.isPlaying) this.schedule();
    this.changed(this);
  }

  add(event) {
    this.pause();
    this.events = [...this.shown, event];
    this.at = this.events.length;
    this.changed(this);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }
}
