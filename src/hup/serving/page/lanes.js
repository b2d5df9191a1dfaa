// The pyramid as lanes: a level a lane, a run a block, its share of attention as shade and as text.

import { $, el, reconcile, say } from "./dom.js";
import { duration, fromTheTop, inWords, levelName, levelNote, moment, pathSaid, percent } from "./words.js";

const SHADES = [0.01, 0.03, 0.06, 0.12, 0.25, 0.5]; // the least share of the next shade
const NARROWEST = { events: 16, time: 10 }; // pixels of an event
const TICK = 76; // pixels of a time below the lanes

export class Lanes {
  /** `words` says names: `item(name)` and `behavior(code)`. */
  constructor(words) {
    this.words = words;
    this.axis = "events";
    this.chosen = null; // {level, key} of the block that is told of
    this.given = null;
    const lanes = $("lanes");
    lanes.addEventListener("focusin", ({ target }) => target.classList.contains("block") && this.choose(target));
    lanes.addEventListener("click", ({ target }) => this.choose(target.closest(".block")));
    lanes.addEventListener("pointerover", ({ target }) => this.light(target.closest(".block")));
    lanes.addEventListener("pointerleave", () => this.light(null));
    lanes.addEventListener("keydown", (pressed) => this.move(pressed));
    for (const button of document.querySelectorAll("[data-axis]")) {
      button.addEventListener("click", () => {
        this.axis = button.dataset.axis;
        for (const one of document.querySelectorAll("[data-axis]")) {
          one.setAttribute("aria-pressed", String(one === button));
        }
        if (this.given) this.show(this.given, this.elapsed);
      });
    }
  }

  forget() {
    Object.assign(this, { chosen: null, given: null });
    $("lanes").replaceChildren();
    this.tell();
  }

  /** Draw an explanation; `elapsed` are the seconds since its last event. */
  show(given, elapsed) {
    Object.assign(this, { given, elapsed: elapsed ?? 0 });
    const levels = fromTheTop(given.levels);
    const box = $("lanes");
    const atEnd = box.scrollLeft + box.clientWidth >= box.scrollWidth - 24;
    const columns = this.columns(given.events);
    reconcile(box, [...levels, { level: "axis" }], (level) => level.level,
      (level) => (level.level === "axis" ? axisRow() : laneRow(level)),
      (row, level) => {
        const track = row.querySelector(".track");
        track.style.gridTemplateColumns = columns;
        if (level.level === "axis") this.ticks(track, given.events);
        else this.blocks(track, level, levels);
      });
    if (atEnd) box.scrollLeft = box.scrollWidth;
    this.tell();
  }

  columns(events) {
    const least = NARROWEST[this.axis];
    if (this.axis === "events" || !events.length) return `repeat(${events.length || 1}, minmax(${least}px, 1fr))`;
    return events.map((event, place) => {
      const next = events[place + 1];
      const seconds = next ? (next.timestamp ?? 0) - (event.timestamp ?? 0) : this.elapsed;
      return `minmax(${least}px, ${Math.max(1, seconds).toFixed(1)}fr)`;
    }).join(" ");
  }

  blocks(track, level, levels) {
    const runs = `${level.runs.length} ${level.runs.length === 1 ? "run" : "runs"}`;
    const note = levelNote(level.level, levels.map((one) => one.level));
    const isSilent = level.runs.length > 0 && !level.runs.some((run) => known(run.share));
    const what = isSilent ? "no attention here" : runs;
    say(track.parentElement.querySelector(".runs"), note ? `${note}, ${what}` : what);
    reconcile(track, level.runs, (run) => `${run.began ?? run.first} ${run.name}`, newBlock, (block, run, place) => {
      const shade = known(run.share) ? SHADES.filter((least) => run.share >= least).length : "none";
      block.className = `block shade-${shade}`;
      block.style.gridColumn = `${run.first + 1} / ${run.last + 2}`;
      Object.assign(block, { run, level: level.level });
      block.dataset.first = run.first;
      block.dataset.last = run.last;
      const text = this.label(level.level, run);
      say(block.firstChild, text);
      const said = this.sentence(level.level, run);
      if (block.getAttribute("aria-label") !== said) block.setAttribute("aria-label", said);
      block.title = known(run.share) ? `${text}, ${percent(run.share)}` : text;
      if (place === level.runs.length - 1) block.dataset.newest = "";
      else delete block.dataset.newest;
    });
    const stop = [...track.children].find((block) => block === document.activeElement || this.isChosen(block));
    for (const block of track.children) block.tabIndex = block === (stop ?? track.lastElementChild) ? 0 : -1;
  }

  label(level, run) {
    if (level === "micro") return this.words.behavior(this.given.events[run.first]?.behavior ?? run.name);
    return level === "item" ? this.words.item(run.name) : inWords(run.name);
  }

  sentence(level, run) {
    const events = this.given.events;
    const which = run.first === run.last ? `event ${run.first + 1}` : `events ${run.first + 1} to ${run.last + 1}`;
    const on = level === "micro" ? ` on ${this.words.item(events[run.first]?.item ?? run.name)}` : "";
    const share = known(run.share) ? `, ${percent(run.share)} of attention` : "";
    return `${levelName(level)}: ${this.label(level, run)}${on}, ${which}${share}`;
  }

  ticks(track, events) {
    const width = $("lanes").clientWidth / (events.length || 1);
    const step = Math.max(1, Math.ceil(TICK / Math.max(width, NARROWEST[this.axis])));
    const marks = events.map((event, place) => ({ event, place })).filter(({ place }) => place % step === 0);
    reconcile(track, marks, ({ place }) => place, () => el("div", { className: "tick" }, el("span")), (tick, { event, place }) => {
      tick.style.gridColumn = `${place + 1} / ${Math.min(place + step, events.length) + 1}`;
      say(tick.firstChild, moment(event.timestamp));
    });
  }

  choose(block) {
    if (!block) return;
    this.chosen = { level: block.level, key: block.dataset.key };
    for (const other of block.parentElement.children) other.tabIndex = other === block ? 0 : -1;
    this.tell();
    this.light(block);
  }

  isChosen(block) {
    return block.level === this.chosen?.level && block.dataset.key === this.chosen.key;
  }

  chosenBlock() {
    return [...document.querySelectorAll(".block")].find((one) => this.isChosen(one));
  }

  /** Say in words what the chosen block stands for. */
  tell() {
    const block = this.chosenBlock();
    for (const one of document.querySelectorAll(".block[aria-current]")) {
      if (one !== block) one.removeAttribute("aria-current");
    }
    if (!block) {
      say($("block"), "Choose a block to read what it stands for.");
      return;
    }
    block.setAttribute("aria-current", "true");
    const { run, level } = block;
    const events = this.given.events.slice(run.first, run.last + 1);
    const counts = new Map();
    for (const { behavior } of events) counts.set(behavior, (counts.get(behavior) ?? 0) + 1);
    const behaviors = [...counts].map(([code, n]) => this.words.behavior(code) + (n > 1 ? ` × ${n}` : "")).join(", ");
    const [began, ended] = [run.began ?? events[0]?.timestamp, run.ended ?? events.at(-1)?.timestamp];
    const lasted = ended > began ? `, ${duration(ended - began)}` : "";
    const items = new Set(events.map(({ item }) => item)).size;
    say($("block"), [
      this.sentence(level, run),
      level === "micro" || level === "item" ? pathSaid(run.path) : `${pathSaid(run.path)}; ${items} ${items === 1 ? "item" : "items"}`,
      `${moment(began)}${lasted}`,
      level === "micro" ? "" : behaviors,
    ].filter((part) => part).join(" · "));
  }

  /** Light up what the other levels have of the same events. */
  light(block) {
    const shown = block ?? this.chosenBlock();
    for (const other of document.querySelectorAll(".block")) {
      const kin = shown && other !== shown && Number(other.dataset.first) <= Number(shown.dataset.last)
        && Number(other.dataset.last) >= Number(shown.dataset.first);
      other.classList.toggle("kin", Boolean(kin));
    }
  }

  move(pressed) {
    const block = pressed.target.closest(".block");
    if (!block || pressed.altKey || pressed.ctrlKey || pressed.metaKey) return;
    const lane = block.parentElement;
    const beside = (step) => {
      const lanes = [...document.querySelectorAll(".lane .track")];
      const other = lanes[lanes.indexOf(lane) + step];
      return other && [...other.children].find((one) => Number(one.dataset.last) >= Number(block.dataset.first));
    };
    const next = {
      ArrowLeft: () => block.previousElementSibling,
      ArrowRight: () => block.nextElementSibling,
      Home: () => lane.firstElementChild,
      End: () => lane.lastElementChild,
      ArrowUp: () => beside(-1),
      ArrowDown: () => beside(1),
    }[pressed.key];
    if (!next) return;
    pressed.preventDefault();
    const to = next();
    if (to?.classList.contains("block")) {
      to.focus();
      to.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
}

/** A level, or a model, without attention has no shares. */
const known = (share) => share !== null && share !== undefined;

function newBlock() {
  return el("button", { type: "button" }, el("span", { dir: "auto" }));
}

function laneRow({ level }) {
  const id = `lane-${level}`;
  return el("div", { className: "lane", role: "group", "aria-labelledby": id, "aria-describedby": "lanes-help" },
    el("div", { className: "lane-name", id }, el("span", {}, levelName(level)), " ", el("span", { className: "runs soft" })),
    el("div", { className: "track" }));
}

function axisRow() {
  const row = el("div", { className: "axis" }, el("div", { className: "lane-name" }), el("div", { className: "track" }));
  row.setAttribute("aria-hidden", "true");
  return row;
}
