// Calls of the service. The key lives in this module's memory and nowhere else.

let key = null;
let askForKey = async () => null;
let asking = null;

export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
  }
}

/** Name the function that asks a person for the key; it gets whether one was refused before. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

async function newKey() {
  asking ??= askForKey(key !== null).finally(() => (asking = null));
  key = await asking;
  if (key === null) throw new Problem(401, "The service asks for its API key.");
}

export async function call(method, path, body) {
  const used = key;
  const headers = { Accept: "application/json" };
  if (used) headers.Authorization = `Bearer ${used}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: text, cache: "no-store", credentials: "omit" });
  } catch {
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.status === 401) {
    if (used === key) await newKey();
    return call(method, path, body);
  }
  const given = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, given?.title ?? `HTTP ${answer.status}`, given?.detail);
  if (given === null) throw new Problem(answer.status, "The service's answer is no JSON.");
  return given;
}

const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

export const model = () => call("GET", "v1/model");
export const users = (prefix, after, limit) => call("GET", `v1/users${query({ prefix, after, limit })}`);
export const explanation = (user, now) =>
  call("GET", `v1/users/${encodeURIComponent(user)}/explanation${query({ now })}`);
export const explanationOf = (session, now) =>
  call("POST", "v1/explanation", now === null ? { session } : { session, now });
export const post = (event) => call("POST", "v1/events", { events: [event] });
