// A pasted session: a line an event, as text or JSON.

const KEYS = ["item", "behavior", "timestamp", "categories", "interval", "dwell"];

/** Fields of a line: by tabs where there are any, else by commas; a field in quotes may hold both. */
function fieldsOf(line) {
  const separator = line.includes("\t") ? "\t" : ",";
  const fields = [];
  let field = "";
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const sign = line[at];
    if (quoted && sign === '"' && line[at + 1] === '"') field += line[++at];
    else if (sign === '"' && (quoted || field.trim() === "")) quoted = !quoted;
    else if (sign === separator && !quoted) {
      fields.push(field.trim());
      field = "";
    } else field += sign;
  }
  if (quoted) throw new Error("a quote is opened and not closed");
  fields.push(field.trim());
  return fields;
}

/** Seconds of a number or a date. */
export function seconds(text) {
  const number = Number(text);
  if (text !== "" && Number.isFinite(number)) return number;
  const date = Date.parse(/T\d|\d:\d/.test(text) && !/(Z|[+-]\d\d:?\d\d)$/i.test(text) ? `${text}Z` : text);
  if (Number.isNaN(date)) throw new Error(`the time is “${text}”, expected seconds or a date`);
  return date / 1000;
}

export const pathOf = (text) => text.split(">").map((name) => name.trim()).filter((name) => name);

function fromText(line) {
  const [item, behavior, time = "", ...rest] = fieldsOf(line);
  if (!item || !behavior) throw new Error("expected item, behavior, time, categories");
  const event = { item, behavior };
  if (time) event.timestamp = seconds(time);
  const categories = rest.length > 1 ? rest.filter((name) => name) : pathOf(rest[0] ?? "");
  if (categories.length) event.categories = categories;
  return event;
}

function fromObject(given) {
  if (given === null || typeof given !== "object" || Array.isArray(given)) throw new Error("expected an object");
  const event = {};
  for (const [key, value] of Object.entries(given)) {
    if ((KEYS.includes(key) || /^category_\d+$/.test(key)) && value !== null) event[key] = value;
  }
  for (const key of ["item", "behavior"]) {
    if (typeof event[key] === "number") event[key] = String(event[key]);
    if (typeof event[key] !== "string" || !event[key]) throw new Error(`key “${key}” is missing`);
  }
  if (typeof event.timestamp === "string") event.timestamp = seconds(event.timestamp);
  if (typeof event.categories === "string") event.categories = pathOf(event.categories);
  return event;
}

const isHead = (line) => /^"?item"?\s*[,\t]\s*"?behavior"?/i.test(line);

/** Events of a text, in order of time; what is no event is an error that names its line. */
export function sessionOf(text) {
  const whole = text.trim();
  if (!whole) throw new Error("There is no event. Paste a line an event.");
  let events;
  if (whole.startsWith("[")) {
    let given;
    try {
      given = JSON.parse(whole);
    } catch (error) {
      throw new Error(`The text is no JSON: ${error.message}`);
    }
    events = given.map((one, place) => read(() => fromObject(one), `Event ${place + 1}`));
  } else {
    const lines = text.split(/\r?\n/).map((line, place) => [line.trim(), place + 1]).filter(([line]) => line);
    if (isHead(lines[0][0])) lines.shift();
    events = lines.map(([line, number]) =>
      read(() => (line.startsWith("{") ? fromObject(JSON.parse(line)) : fromText(line)), `Line ${number}`));
  }
  if (!events.length) throw new Error("There is no event. Paste a line an event.");
  const timed = events.every((event) => typeof event.timestamp === "number");
  return timed ? events.sort((one, other) => one.timestamp - other.timestamp) : events;
}

function read(make, where) {
  try {
    return make();
  } catch (error) {
    throw new Error(`${where}: ${error.message}.`);
  }
}

/** The same events as lines of text. */
export function textOf(events) {
  const quoted = (field) => (/[",\t\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  return events
    .map(({ item, behavior, timestamp, categories }) =>
      [item, behavior, timestamp ?? "", (categories ?? []).join(" > ")].map((one) => quoted(String(one))).join(", "))
    .map((line) => line.replace(/(, )+$/, ""))
    .join("\n");
}
