// The page: whose profile it is, what it is asked for each second, and where each part of the answer goes.

import * as api from "./api.js";
import { Clock } from "./clock.js";
import { ClockControls } from "./clock_controls.js";
import { Connection } from "./connection.js";
import { $, el, reconcile, say } from "./dom.js";
import { EventForm } from "./event_form.js";
import { Lanes } from "./lanes.js";
import { Lists } from "./lists.js";
import { Replay } from "./replay.js";
import { sessionOf, textOf } from "./session_text.js";
import { Users } from "./users.js";
import { duration, inWords, moment, titleOf } from "./words.js";

const EACH = 1000; // milliseconds between two questions
const REST = 4; // times that an answer took are waited before the next question, so that a page costs a service little
const USERS_EACH = 5; // questions between two looks for new users
const LOG = 200; // events in the table

const clock = new Clock();
const controls = new ClockControls(clock, () => refresh());
const connection = new Connection(begin);
const failed = (problem) => connection.failed(problem);
const behaviors = new Map(); // code, and name -> name
const titles = new Map(); // item -> what a person calls it
let subject = null; // {user} or {replay, add}
let shown = null; // the explanation on the page
let asked = ""; // what the service was asked last
let isAsking = false;
let isWanted = false;
let model = ""; // digest of the model whose behaviors the form has
let questions = 0;

const words = {
  item: (name) => inWords(titles.get(name) ?? name),
  behavior: (code) => inWords(behaviors.get(code) ?? code),
};
const lanes = new Lanes(words);
const lists = new Lists((item) => form.take(item));
const form = new EventForm(() => subject, posted, failed);
const users = new Users(open, failed);

// Whose profile

function open(user) {
  if (subject?.replay) subject.replay.stop();
  forget({ user });
  history.replaceState(null, "", `#user=${encodeURIComponent(user)}`);
  say($("who"), user);
  users.pick(user);
  refresh();
}

function playSample(events) {
  if (subject?.replay) subject.replay.stop();
  const replay = new Replay(events, $("pace").value, replayed);
  forget({ replay, add: (event) => addToSample(replay, event) });
  history.replaceState(null, "", location.pathname + location.search);
  say($("who"), "Sample session");
  users.pick(null);
  replay.play();
}

function forget(next) {
  subject = next;
  shown = null;
  asked = "";
  clock.reset();
  lanes.forget();
  lists.forget();
  for (const id of ["news", "facts", "verdict", "sample-problem"]) say($(id), "");
  $("log").replaceChildren();
  $("nobody").hidden = true;
  $("somebody").hidden = false;
  $("replay").hidden = !next.replay;
  say($("sample-fill"), "Example");
}

// Replay of the sample

function replayed(replay) {
  if (subject?.replay !== replay) return;
  const last = replay.events[replay.at - 1].timestamp;
  clock.follow(last);
  if (replay.isPlaying && replay.speed !== null && typeof last === "number") clock.run(replay.speed, last);
  else clock.atLast();
  showReplay();
  refresh();
}

function showReplay() {
  const replay = subject?.replay;
  if (!replay) return;
  say($("replay-toggle"), replay.isPlaying ? "Pause" : replay.isOver ? "Again" : "Play");
  $("replay-step").disabled = replay.isOver;
  Object.assign($("replay-at"), { max: replay.events.length, value: replay.at });
  const left = replay.secondsLeft;
  const wait = left !== null && left > 2 ? `, next in ${duration(left)}` : "";
  say($("replay-said"), `${replay.at} of ${replay.events.length} events${wait}`);
}

function addToSample(replay, event) {
  const now = clock.now() ?? clock.latest;
  replay.add(now === null ? event : { ...event, timestamp: clock.elapsed > 0 ? now : now + 1 });
}

// Questions and answers

async function refresh() {
  isWanted = true;
  if (isAsking) return;
  isAsking = true;
  while (isWanted && !connection.needsKey) {
    isWanted = false;
    await ask();
  }
  isAsking = false;
}

async function ask() {
  const whose = subject;
  if (!whose) return;
  const now = clock.now();
  if (whose.isUnknown && shown && questions % USERS_EACH) return;
  const question = JSON.stringify([whose.replay?.at, whose.replay?.events.length, now]);
  if (whose.replay && question === asked && shown) return;
  try {
    const answer = whose.replay ? await api.explanationOf(whose.replay.shown, now) : await ofUser(whose, now);
    if (subject !== whose) return;
    asked = question;
    connection.isLive();
    took(answer);
  } catch (problem) {
    if (subject !== whose) return;
    if (whose.replay && problem.status >= 400 && problem.status < 500 && problem.status !== 401) {
      whose.replay.pause();
      say($("sample-problem"), problem.message);
    }
    failed(problem);
  }
}

async function ofUser(subject, now) {
  const user = subject.user;
  try {
    const answer = await api.explanation(user, now);
    subject.isUnknown = false;
    return answer;
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    subject.isUnknown = true;
    if (shown && !shown.events.length) return shown;
    return api.explanationOf([], null); // nothing is known of this user: what the model says to anybody
  }
}

function posted() {
  subject.isUnknown = false;
  refresh();
}

function took(answer) {
  const isNew = !shown || answer.latest !== shown.latest || answer.events.length !== shown.events.length;
  const before = shown;
  shown = answer;
  if (answer.model !== model) api.model().then(showModel, failed); // another one has taken its place
  for (const event of answer.events) if (event.name) titles.set(event.item, event.name);
  const items = answer.levels.find(({ level }) => level === "item");
  for (const entry of items?.recommended ?? []) titles.set(entry.name, titleOf(entry));
  const latest = answer.latest ?? answer.events.at(-1)?.timestamp ?? null;
  clock.follow(latest);
  lanes.show(answer, clock.elapsed);
  const firsts = lists.show(answer.levels, isNew && before !== null);
  form.items(knownItems(answer, items));
  showFacts(answer, latest);
  showLog(answer.events);
  controls.show();
  if (answer.events.length && subject.user) say($("sample-fill"), "Copy from user");
  if (isNew && before) {
    const event = answer.events.at(-1);
    const what = event ? `${words.behavior(event.behavior)} on ${words.item(event.item)}.` : "";
    say($("news"), [what, ...firsts].join(" "));
  } else if (before && firsts.length) {
    say($("news"), [`${duration(clock.elapsed ?? 0)} after the last event.`, ...firsts].join(" "));
  }
}

function knownItems(answer, items) {
  const known = new Map();
  for (const { item } of [...answer.events].reverse()) known.set(item, words.item(item));
  for (const entry of items?.recommended ?? []) known.set(entry.name, titleOf(entry));
  return known;
}

function showFacts(answer, latest) {
  const n = answer.events.length;
  const parts = n ? [`${n} ${n === 1 ? "event" : "events"}`] : ["No events yet: post the first one below"];
  if (n && answer.began != null) parts.push(`since ${moment(answer.began, true)}`);
  if (n && latest !== null) parts.push(`last ${moment(latest)}`);
  say($("facts"), parts.join(" · "));
}

function showLog(events) {
  const rows = events.map((event, place) => ({ event, place })).slice(-LOG).reverse();
  reconcile($("log"), rows, ({ event, place }) => `${place} ${event.item} ${event.behavior} ${event.timestamp}`,
    ({ event, place }) => el("tr", {},
      el("td", { className: "soft" }, String(place + 1)),
      el("td", {}, moment(event.timestamp)),
      el("td", { dir: "auto" }, words.behavior(event.behavior)),
      el("td", { dir: "auto", className: "thing" })),
    (row, { event }) => say(row.lastChild, words.item(event.item)));
}

// The sample's form and controls

$("sample-form").addEventListener("submit", (sent) => {
  sent.preventDefault();
  say($("sample-problem"), "");
  try {
    playSample(sessionOf($("sample").value));
  } catch (problem) {
    say($("sample-problem"), problem.message);
  }
});
$("sample-fill").addEventListener("click", async () => {
  try {
    $("sample").value = textOf(subject?.user && shown?.events.length ? shown.events : await example());
    $("sample").focus();
    $("sample").setSelectionRange(0, 0);
    $("sample").scrollTo(0, 0);
  } catch (problem) {
    failed(problem);
  }
});
$("pace").addEventListener("change", () => {
  const replay = subject?.replay;
  if (!replay) return;
  replay.pace = $("pace").value;
  if (replay.isPlaying) {
    replay.schedule();
    replayed(replay);
  }
});
$("replay-toggle").addEventListener("click", () => {
  const replay = subject?.replay;
  if (replay?.isPlaying) replay.pause();
  else replay?.play();
});
$("replay-step").addEventListener("click", () => subject?.replay?.show(subject.replay.at + 1));
$("replay-at").addEventListener("input", () => subject?.replay?.show(Number($("replay-at").value)));

/** A session of what is popular, in the model's own behaviors. */
async function example() {
  const answer = await api.explanationOf([], null);
  const popular = answer.levels.find(({ level }) => level === "item")?.recommended ?? [];
  const codes = [...$("behavior").options].map(({ value }) => value);
  const item = (place) => popular[place % popular.length];
  return [0, 0, 1, 1, 1, 0, 2, 2, 3].slice(0, popular.length ? 9 : 0).map((place, step) => ({
    item: item(place).name,
    behavior: codes[step % codes.length],
    timestamp: step * 25,
    categories: item(place).path,
  }));
}

// The model, and the beginning

async function begin() {
  connection.needsKey = false;
  try {
    showModel(await api.model());
    connection.isLive();
  } catch (problem) {
    failed(problem);
    if (problem.status !== 401) setTimeout(begin, 2 * EACH);
    return;
  }
  await users.search();
  const picked = new URLSearchParams(location.hash.slice(1)).get("user");
  if (subject) refresh();
  else if (picked) open(picked);
}

function showModel(told) {
  model = told.model;
  const known = told.behaviors;
  for (const { code, name } of known) {
    behaviors.set(code, name);
    behaviors.set(name, name);
  }
  form.behaviors(known);
  const items = `${told.items.toLocaleString("en")} items`;
  say($("model"), [`Model ${told.name}`, told.model.slice(0, 12), items].join(" · "));
  const list = known.map(({ name }) => name).join(", ");
  say($("behaviors-said"), `The behaviors are those of the served model, ${known.length} of them: ${list}.`);
  const example = known[0]?.code ?? "view";
  $("sample").placeholder = `kettle, ${example}, 0, home > kitchen\nkettle, ${known[1]?.code ?? example}, 20\n`
    + `{"item": "toaster", "behavior": "${example}", "timestamp": 45}`;
}

async function each() {
  const began = performance.now();
  if (!document.hidden && !connection.needsKey) {
    questions += 1;
    controls.show();
    showReplay();
    if (questions % USERS_EACH === 0) users.again();
    await refresh();
  }
  setTimeout(each, Math.max(EACH, REST * (performance.now() - began)));
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
addEventListener("hashchange", () => {
  const user = new URLSearchParams(location.hash.slice(1)).get("user");
  if (user && user !== subject?.user) open(user);
});
$("sample-part").open = matchMedia("(min-width: 46rem)").matches;
await begin();
each();
