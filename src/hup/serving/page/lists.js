// What comes next on every level: ranked lists that move as events arrive and time passes.

import { $, el, reconcile, say } from "./dom.js";
import { inWords, levelName, levelNote, mark, pathSaid, percent, pictureOf, score, titleOf } from "./words.js";

const MOST = 10;
const PARTS = [["repeat", "again"], ["memory", "near"], ["popularity", "popular"], ["profile", "new"]];
const keyOf = (entry) => [...(entry.path ?? []), entry.name].join("\u0001");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Lists {
  /** `take(item)` is called with the name of an item that a person chose. */
  constructor(take) {
    this.take = take;
    this.forget();
  }

  forget() {
    this.ranks = new Map(); // level -> Map of key -> rank, as shown now
    this.before = new Map(); // the same, before the newest event came
    $("lists").replaceChildren();
  }

  /** Draw the lists; give what is to be said of them: names that came first. */
  show(levels, isNewEvent) {
    const shown = levels.filter((level) => level.level !== "micro" && level.recommended)
      .sort((one, other) => order(one) - order(other));
    if (isNewEvent) this.before = this.ranks;
    const firsts = [];
    const ranks = new Map();
    const places = positions();
    reconcile($("lists"), shown, (level) => level.level, (level) => newList(level, levels), (list, level) => {
      const entries = level.recommended.slice(0, MOST);
      ranks.set(level.level, new Map(entries.map((entry, place) => [keyOf(entry), place])));
      const best = Math.max(...entries.map((entry) => entry.score), 0);
      reconcile(list.querySelector("ol"), entries, keyOf, () => newEntry(level.level, this.take),
        (row, entry, place) => this.fill(row, entry, place, level.level, best));
      list.querySelector(".none").hidden = entries.length > 0;
      const first = entries[0];
      const old = this.ranks.get(level.level);
      if (first && old?.size && old.get(keyOf(first)) !== 0) firsts.push([level.level, inWords(titleOf(first))]);
    });
    this.ranks = ranks;
    slide(places);
    return firsts.map(([level, name]) => `${levelName(level)}: ${name} is first now.`);
  }

  fill(row, entry, place, level, best) {
    const name = titleOf(entry);
    row.take = entry.name;
    say(row.querySelector(".rank"), String(place + 1));
    const named = row.querySelector(".name");
    say(named, name);
    named.title = level === "item" ? `${name} (${entry.name}): take it into the form below` : name;
    const above = level === "item" ? entry.path : (entry.path ?? []).slice(0, -1);
    say(row.querySelector(".path"), pathSaid(above));
    say(row.querySelector(".score"), score(entry.score));
    const kind = mark(entry);
    const badge = row.querySelector(".mark");
    badge.className = `mark ${kind}`;
    say(badge, kind);
    this.movement(row, entry, place, level);
    picture(row, entry);
    bar(row.querySelector(".bar"), entry, best);
    say(row.querySelector(".said"), partsSaid(entry));
  }

  movement(row, entry, place, level) {
    const before = this.before.get(level);
    const was = before?.get(keyOf(entry));
    const sign = row.querySelector(".moved");
    const up = was === undefined ? null : was - place;
    const [kind, text, said] = !before?.size || up === 0 ? ["", "", ""]
      : up === null ? ["in", "in", "came in"]
      : up > 0 ? ["up", `▲${up}`, `up ${up}`] : ["down", `▼${-up}`, `down ${-up}`];
    sign.className = `moved ${kind}`;
    say(sign.firstChild, text);
    say(sign.lastChild, said);
  }
}

const order = ({ level }) => (level === "item" ? -100 : -Number(level.split("_")[1]));

function newList({ level }, levels) {
  const id = `list-${level}`;
  const note = levelNote(level, levels.map((one) => one.level));
  return el("section", { className: `list of-${level === "item" ? "items" : "categories"}`, "aria-labelledby": id },
    el("h3", { id }, note ? `${levelName(level)}, ${note}` : levelName(level)), el("ol"), el("p", { className: "none soft" }, "Nothing to recommend."));
}

function newEntry(level, take) {
  const row = el("li", { className: "entry" });
  const name = level === "item" ? el("button", { type: "button", className: "name", dir: "auto" })
    : el("span", { className: "name", dir: "auto" });
  if (level === "item") name.addEventListener("click", () => take(row.take));
  row.append(
    el("span", { className: "rank", "aria-hidden": "true" }),
    el("span", { className: "picture" }),
    name,
    el("span", { className: "path soft", dir: "auto" }),
    el("span", { className: "moved" }, el("span", { "aria-hidden": "true" }), el("span", { className: "sr" })),
    el("span", { className: "mark" }),
    el("span", { className: "score" }),
    el("span", { className: "bar", "aria-hidden": "true" }),
    el("span", { className: "sr said" }),
  );
  return row;
}

function picture(row, entry) {
  const place = row.querySelector(".picture");
  const address = pictureOf(entry);
  if (place.dataset.address === (address ?? "")) return;
  place.dataset.address = address ?? "";
  place.replaceChildren();
  if (!address) return;
  const shown = el("img", { alt: "", loading: "lazy", referrerPolicy: "no-referrer", width: 28, height: 28 });
  shown.addEventListener("error", () => shown.remove());
  shown.src = address;
  place.append(shown);
}

/** The score beside the best of the list, in parts by where it comes from. */
function bar(place, entry, best) {
  const length = best > 0 ? Math.max(0, entry.score) / best : 0;
  const parts = entry.origin ? PARTS.map(([part, kind]) => [kind, entry.origin[part]]) : [["whole", 1]];
  reconcile(place, parts, ([kind]) => kind, ([kind]) => el("i", { className: kind }), (part, [, share]) => {
    part.style.width = `${(100 * length * share).toFixed(2)}%`;
  });
}

function partsSaid(entry) {
  if (!entry.origin) return "";
  const parts = PARTS.map(([part]) => [part, entry.origin[part]]).filter(([, share]) => share >= 0.05);
  return ` from ${parts.map(([part, share]) => `${part} ${percent(share)}`).join(", ")}`;
}

function positions() {
  return new Map([...document.querySelectorAll(".entry")].map((row) => [row, row.getBoundingClientRect().top + scrollY]));
}

/** Let entries slide to their new places, and those that came in appear. */
function slide(before) {
  if (calm.matches || document.hidden) return;
  for (const row of document.querySelectorAll(".entry")) {
    const was = before.get(row);
    const by = was === undefined ? null : was - row.getBoundingClientRect().top - scrollY;
    if (by === null) row.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 300 });
    else if (Math.abs(by) > 1) {
      row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 300, easing: "ease-out" });
    }
  }
}
