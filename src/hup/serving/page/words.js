// How levels, times, shares and marks are said.

export const levelName = (level) =>
  level === "micro" ? "Micro" : level === "item" ? "Item" : `Category ${level.split("_")[1]}`;

/** What the level's number means, where there are several levels of categories. */
export function levelNote(level, levels) {
  const depth = (one) => Number(one.split("_")[1]) || 0;
  const deepest = Math.max(...levels.map(depth));
  if (deepest < 2 || !depth(level)) return "";
  return depth(level) === 1 ? "broadest" : depth(level) === deepest ? "finest" : "";
}

/** Levels from the broadest down to single events: the pyramid as one looks at it. */
export const fromTheTop = (levels) => {
  const height = (level) => (level === "micro" ? 1000 : level === "item" ? 999 : Number(level.split("_")[1]));
  return [...levels].sort((one, other) => height(one.level) - height(other.level));
};

export const percent = (share) => {
  const hundredths = share * 100;
  return `${hundredths >= 9.95 || hundredths === 0 ? hundredths.toFixed(0) : hundredths.toFixed(1)} %`;
};

export const score = (value) =>
  Math.abs(value) >= 0.0995 || value === 0 ? value.toFixed(2) : Number(value.toPrecision(2)).toString();

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

export function duration(seconds) {
  if (seconds < 1) return "0 s";
  const whole = Math.floor(seconds);
  const place = UNITS.findIndex(([size]) => whole >= size);
  const [size, unit] = UNITS[place];
  const rest = UNITS[place + 1] && Math.floor((whole % size) / UNITS[place + 1][0]);
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${UNITS[place + 1][1]}` : ""}`;
}

/** A date where the clock counts from 1970, and seconds where it counts from anything else. */
export function moment(seconds, withDay = false) {
  if (seconds === null || seconds === undefined) return "-";
  if (seconds < 1e8 || seconds > 1e11) return `${Number(seconds.toFixed(1))} s`;
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString("en-GB");
  return withDay ? `${date.toLocaleDateString("en-CA")} ${time}` : time;
}

/** A name within a sentence, without marks that turn the direction of what follows. */
export const inWords = (name) => name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

export const pathSaid = (path) => (path ?? []).map(inWords).join(" > ");

/** Again: the session was on it; near: others were, near what the session has been on; new: all else. */
export function mark(entry) {
  const origin = entry.origin;
  if (entry.seen) return "again";
  if (!origin) return "new";
  const most = Math.max(origin.repeat, origin.memory, origin.popularity, origin.profile);
  if (origin.repeat === most) return "again";
  return origin.memory === most ? "near" : "new";
}

const TITLES = ["name", "title"];
const PICTURES = ["image", "picture", "image_url"];

const column = (item, names) => {
  for (const name of names) if (typeof item?.[name] === "string" && item[name]) return item[name];
  return null;
};

export const titleOf = (entry) => column(entry.item, TITLES) ?? entry.name;

/** Address of an item's picture: of the web, or in the table itself; never a script's. */
export function pictureOf(entry) {
  const address = column(entry.item, PICTURES);
  return address && /^(https?:\/\/|data:image\/)/i.test(address) ? address : null;
}
