// Whether the service answers, and the key that it may ask for.

import { onKeyNeeded } from "./api.js";
import { $, el, say } from "./dom.js";

export class Connection {
  /** `again()` is called when a person wants to give the key after all. */
  constructor(again) {
    Object.assign(this, { again, needsKey: false });
    onKeyNeeded((wasRefused) => askForKey(wasRefused));
    $("key-form").addEventListener("submit", (sent) => {
      sent.preventDefault();
      $("key-dialog").close("given");
    });
  }

  isLive() {
    this.needsKey = false;
    $("connection").dataset.state = "live";
    say($("connection"), "Live");
  }

  failed(problem) {
    $("connection").dataset.state = problem.status ? "problem" : "lost";
    if (problem.status === 401) {
      this.needsKey = true;
      $("connection").replaceChildren(el("button", { type: "button", onclick: () => this.again() }, "Give the API key"));
    } else say($("connection"), problem.status ? problem.message : "The service does not answer; trying again");
  }
}

/** Give the key that a person writes, or null where the dialog is closed without one. */
function askForKey(wasRefused) {
  const dialog = $("key-dialog");
  $("key").value = "";
  say($("key-problem"), wasRefused ? "The service refuses this key." : "");
  dialog.returnValue = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = $("key").value;
      $("key").value = "";
      resolve(dialog.returnValue === "given" && key ? key : null);
    }, { once: true });
    dialog.showModal();
  });
}
