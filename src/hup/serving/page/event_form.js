// The form that posts an event as the picked user, or adds one to the sample session.

import * as api from "./api.js";
import { $, el, say } from "./dom.js";
import { pathOf } from "./session_text.js";

export class EventForm {
  /** `subject()` says whose events these are, `posted()` is called when one is kept, `failed(problem)` when not. */
  constructor(subject, posted, failed) {
    Object.assign(this, { subject, posted, failed });
    $("event-form").addEventListener("submit", (sent) => {
      sent.preventDefault();
      this.send();
    });
  }

  behaviors(known) {
    const chosen = $("behavior").value;
    $("behavior").replaceChildren(...known.map(({ code, name }) => el("option", { value: code }, name)));
    if (known.some(({ code }) => code === chosen)) $("behavior").value = chosen;
  }

  items(known) {
    const names = [...known].slice(0, 200);
    const key = JSON.stringify(names);
    if (key === this.known) return;
    this.known = key;
    $("items").replaceChildren(...names.map(([name, title]) =>
      el("option", { value: name }, title === name ? name : `${title} (${name})`)));
  }

  take(item) {
    $("item").value = item;
    $("categories").value = "";
    $("item").focus();
  }

  async send() {
    const subject = this.subject();
    const event = { item: $("item").value.trim(), behavior: $("behavior").value };
    const categories = pathOf($("categories").value);
    if (categories.length) event.categories = categories;
    if (!subject || !event.item) return;
    if (subject.replay) {
      subject.add(event);
      say($("verdict"), "Added to the sample session.");
      return;
    }
    say($("verdict"), "");
    try {
      const answer = await api.post({ ...event, user: subject.user, event_id: newId() });
      const verdict = answer.verdicts[0];
      const reason = verdict.reason ? `: ${verdict.reason}` : "";
      say($("verdict"), `${verdict.status[0].toUpperCase()}${verdict.status.slice(1)}${reason}.`.replace(/\.\.$/, "."));
      $("verdict").dataset.state = verdict.status;
      if (verdict.status === "accepted") this.posted();
    } catch (problem) {
      $("verdict").dataset.state = "refused";
      say($("verdict"), problem.message);
      this.failed(problem);
    }
  }
}

/** A name for the event, so that it counts once however often it is sent. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
