// Users of the service: searched by how their names begin, a page at a time.

import * as api from "./api.js";
import { $, el, reconcile, say } from "./dom.js";

const PAGE = 50;

export class Users {
  /** `open(user)` is called with a name that a person picked or wrote; `failed(problem)` with what went wrong. */
  constructor(open, failed) {
    Object.assign(this, { open, failed, names: [], next: null, picked: null, asked: 0, isLong: false });
    const field = $("user");
    let timer = null;
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.search(), 200);
    });
    $("user-form").addEventListener("submit", (sent) => {
      sent.preventDefault();
      const name = field.value.trim();
      if (name) open(name);
    });
    $("users-more").addEventListener("click", () => this.more());
  }

  async search() {
    const asked = ++this.asked;
    try {
      const page = await api.users($("user").value.trim(), null, PAGE);
      if (asked !== this.asked) return;
      Object.assign(this, { names: page.users, next: page.next ?? null, isLong: false });
      this.show();
    } catch (problem) {
      this.failed(problem);
    }
  }

  /** Look for new users, unless a person has gone on to further pages. */
  async again() {
    if (!this.isLong) await this.search();
  }

  async more() {
    const asked = ++this.asked;
    try {
      const page = await api.users($("user").value.trim(), this.next, PAGE);
      if (asked !== this.asked) return;
      Object.assign(this, { names: [...this.names, ...page.users], next: page.next ?? null, isLong: true });
      this.show();
    } catch (problem) {
      this.failed(problem);
    }
  }

  pick(user) {
    this.picked = user;
    this.show();
  }

  show() {
    reconcile($("users"), this.names, (name) => name, (name) => this.entry(name), (row, name) => {
      if (name === this.picked) row.firstChild.setAttribute("aria-current", "true");
      else row.firstChild.removeAttribute("aria-current");
    });
    $("users-more").hidden = this.next === null;
    const prefix = $("user").value.trim();
    say($("users-note"), this.names.length ? ""
      : prefix ? "No user's name begins so. Open takes it as a new user." : "No user has posted an event yet.");
  }

  entry(name) {
    const button = el("button", { type: "button", dir: "auto", title: name }, name);
    button.addEventListener("click", () => this.open(name));
    return el("li", {}, button);
  }
}
