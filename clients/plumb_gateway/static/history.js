// What was typed before, in a text area: the arrows walk through it where they would leave the text.

export class History {
  #lines = [];
  #at = 0;
  #draft = "";

  constructor(input) {
    this.input = input;
    input.addEventListener("input", () => this.#fit());
  }

  add(line) {
    if (this.#lines.at(-1) !== line) this.#lines.push(line);
    this.#at = this.#lines.length;
    this.#set("");
  }

  key(event) {
    const { value, selectionStart } = this.input;
    const isFirst = !value.slice(0, selectionStart).includes("\n");
    const isLast = !value.slice(selectionStart).includes("\n");
    if (event.key === "ArrowUp" && isFirst) this.#walk(-1, event);
    if (event.key === "ArrowDown" && isLast) this.#walk(1, event);
  }

  #walk(by, event) {
    const to = this.#at + by;
    if (to < 0 || to > this.#lines.length) return;
    event.preventDefault();
    if (this.#at === this.#lines.length) this.#draft = this.input.value;
    this.#at = to;
    this.#set(this.#lines[to] ?? this.#draft);
  }

  #set(text) {
    this.input.value = text;
    this.#fit();
  }

  #fit() {
    this.input.rows = Math.min(12, this.input.value.split("\n").length);
  }
}
