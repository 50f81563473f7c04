// A screen on a terminal emulator: what a sandbox prints steers the emulator, and nothing else.

import { Terminal } from "./vendor/xterm.mjs";

// The emulator adds style elements, which the page's policy takes only with its nonce.
export function useNonce(nonce) {
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    if (String(name).toLowerCase() === "style") element.nonce = nonce;
    return element;
  };
}

const FAINT = "\x1b[2m";
const BOLD = "\x1b[1m";
const PLAIN = "\x1b[0m";
const MOST_COLUMNS = 500;

// Text of ours on the screen: nothing in it may steer.
const harmless = (text) => text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "\u2423");

export class Screen {
  #terminal;
  #isSql;
  #waiting = null; // what comes while it is found out where the cursor stands

  constructor(place, kind) {
    this.#isSql = kind === "mysql";
    this.#terminal = new Terminal({
      cols: 120, rows: 24, convertEol: true, disableStdin: true, scrollback: 20000, fontSize: 13,
      cursorInactiveStyle: "none", logLevel: "off",
      theme: { background: "#10141a", foreground: "#dde3ea" },
    });
    this.#terminal.open(place);
    this.#terminal.textarea?.setAttribute("tabindex", "-1"); // one types elsewhere
    this.#fit(place);
    new ResizeObserver(() => this.#fit(place)).observe(place);
  }

  #fit(place) {
    const cell = this.#terminal.element.querySelector(".xterm-rows")?.firstElementChild?.getBoundingClientRect().height || 17;
    const rows = Math.max(4, Math.floor((place.clientHeight - 14) / cell));
    const width = this.#terminal.element.querySelector(".xterm-char-measure-element")?.getBoundingClientRect().width / 32 || 7.8;
    const columns = Math.max(20, Math.min(MOST_COLUMNS, Math.floor((place.clientWidth - 28) / width)));
    if (rows !== this.#terminal.rows || columns !== this.#terminal.cols) this.#terminal.resize(columns, rows);
  }

  #write(data) {
    if (this.#waiting) this.#waiting.push(() => this.#write(data));
    else this.#terminal.write(data);
  }

  // Goes to a new line, unless the cursor stands at the beginning of one. The emulator parses later
  // what it is given: where the cursor stands is known when all before it has been.
  #beginLine() {
    if (this.#waiting) {
      this.#waiting.push(() => this.#beginLine());
      return;
    }
    this.#waiting = [];
    this.#terminal.write("", () => {
      const waiting = this.#waiting;
      this.#waiting = null;
      if (this.#terminal.buffer.active.cursorX) this.#terminal.write("\n");
      for (const act of waiting) act();
    });
  }

  typed(prompt, action) {
    this.#write(`${BOLD}${harmless(prompt)} ${harmless(action)}${PLAIN}\n`);
  }

  // A text, or bytes as base64.
  output(data) {
    if (typeof data === "string") this.#write(data);
    else this.#write(Uint8Array.from(atob(data.base64), (letter) => letter.charCodeAt(0)));
  }

  end(seen) {
    const status = !this.#isSql && seen.exit_code ? `status ${seen.exit_code}` : "";
    const ending = seen.ending === "EXITED" ? "" : seen.ending.toLowerCase().replaceAll("_", " ");
    const notes = [ending, status, seen.truncated ? "cut" : ""].filter(Boolean);
    // Whatever the output left behind (colours, another character set), the next line begins afresh.
    this.#write("\x1b[!p\x1b[?47l\x1b[?25h\x1b(B");
    this.#beginLine();
    if (notes.length) this.note(notes.join(", "));
  }

  scroll(pages) {
    this.#terminal.scrollPages(pages);
  }

  // Somebody who clicks wants to type; somebody who marks text does not.
  whenClicked(act) {
    this.#terminal.element.addEventListener("mouseup", () => this.#terminal.hasSelection() || act());
  }

  note(text) {
    this.#write(`${FAINT}[${harmless(text)}]${PLAIN}\n`);
  }
}
