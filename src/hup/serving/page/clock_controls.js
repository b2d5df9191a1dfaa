// Buttons of the clock, and how long ago the last event was.

import { $, say } from "./dom.js";
import { duration } from "./words.js";

export class ClockControls {
  /** `moved()` is called when a person moved the clock. */
  constructor(clock, moved) {
    Object.assign(this, { clock, moved });
    for (const button of document.querySelectorAll("[data-clock]")) {
      button.addEventListener("click", () => this.press(button.dataset.clock));
    }
    for (const button of document.querySelectorAll("[data-skip]")) {
      button.addEventListener("click", () => this.change(() => clock.skip(Number(button.dataset.skip))));
    }
    $("speed").addEventListener("change", () => {
      if (clock.mode === "run") this.change(() => clock.run(Number($("speed").value)));
    });
  }

  press(mode) {
    const clock = this.clock;
    this.change(() => {
      if (mode === "last") clock.atLast();
      else if (mode === "real") clock.inReal();
      else if (clock.mode === "run") clock.hold();
      else clock.run(Number($("speed").value));
    });
  }

  change(how) {
    how();
    this.show();
    this.moved();
  }

  show() {
    const clock = this.clock;
    say($("elapsed"), clock.elapsed === null ? "-" : duration(clock.elapsed));
    for (const button of document.querySelectorAll("[data-clock]")) {
      const mode = button.dataset.clock;
      button.setAttribute("aria-pressed", String(mode === clock.mode));
      button.disabled = clock.latest === null && mode !== "last";
      if (mode === "run") say(button, clock.mode === "run" ? "Stop" : "Run");
    }
    for (const button of document.querySelectorAll("[data-skip]")) button.disabled = clock.latest === null;
  }
}
