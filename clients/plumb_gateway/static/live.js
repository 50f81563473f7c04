// The live page: screens that show what comes, one line to type in, the verdicts of a pair.

import { Screen, useNonce } from "./screen.js";
import { History } from "./history.js";
import { call, tell } from "./problem.js";

const one = (selector) => document.querySelector(selector);
const live = one("#live");
const { session, kind, backend, observe, nonce } = live.dataset;
const own = live.hasAttribute("data-own");
const isPair = backend === "paired";
const input = one("#input");
const MOST_RECALLED = 20;
const history = new History(input);

useNonce(nonce);
const screens = { real: new Screen(one("#screen-one"), kind) };
if (isPair) screens.simulated = new Screen(one("#screen-two"), kind);
const seenBy = isPair && observe === "simulated" ? screens.simulated : screens.real;

let socket = null;
let attempts = 0;
let waiting = 0; // steps that are not answered yet
let answers = 0;
let shown = 0; // the last turn that is on the screens
let isRecalling = false; // what was before is being written onto the screens
let recalled = Promise.resolve(); // when all of it has been
let isBusy = false; // with a step of somebody else
let isOver = false;
let wasTold = false; // what the session was at, when this page came
let streamed = false; // whether output of the present step was shown as it came

// Asks over HTTP first, which can tell a browser why there is no socket to be had.
async function connect() {
  const response = await fetch(`/sessions/${session}/turns?first=${Number.MAX_SAFE_INTEGER}`).catch(() => null);
  if (response?.status === 401) location.reload(); // and so to the login
  else if (!response || response.status >= 500) retry();
  else if (response.headers.get("Plumb-Live") === "true") open();
  else end();
}

function retry() {
  one("#state").textContent = "connection lost";
  if (attempts < 6) setTimeout(connect, 500 * 2 ** attempts++);
}

function end() {
  isOver = true;
  one("#state").textContent = "ended";
}

function open() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/v1/sessions/${session}/live${own ? `?own=true&keep=${one("#keep").checked}` : ""}`);
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    waiting = 0;
    isBusy = false;
    show();
    if (event.code === 1008) end();
    else retry();
  });
}

function receive(message) {
  if (message.session) {
    attempts = 0;
    isBusy = message.session.state === "BUSY";
    const last = message.session.last_step_index;
    if (!isBusy) tell("");
    if (isBusy || (wasTold && last > shown)) warn();
    wasTold = true;
    isRecalling = true;
    recalled = recalled.then(() => recall(last - (isBusy ? 1 : 0)))
      .catch(() => tell("What was before could not be loaded; load this page again."))
      .then(() => {
        isRecalling = false;
        show();
      });
  } else if (message.chunk) {
    streamed = true;
    seenBy.output(message.chunk.data);
  } else if (message.observation) {
    answered(message.observation, message.step_index);
  } else if (message.error) {
    if (message.of === "step") {
      settled();
      streamed = false;
    }
    tell(message.error.detail);
    seenBy.note(message.error.detail);
  }
  show();
}

// Says that somebody else steps this session, now that they were seen to.
function warn() {
  const notice = one("#others b");
  if (notice) notice.textContent = "Another program steps this session.";
}

// Shows the turns up to one that are not on the screens yet: those before a reload, or of others.
async function recall(last) {
  const first = Math.max(shown + 1, last - MOST_RECALLED + 1, 1);
  if (last < first) return;
  shown = last;
  const response = await fetch(`/v1/journal/sessions/${session}/steps?first_step_index=${first}&page_size=${MOST_RECALLED}`);
  if (!response.ok) return;
  for (const step of (await response.json()).steps.filter((step) => step.step_index <= last)) {
    for (const screen of Object.values(screens)) screen.typed(one("#prompt").textContent, text(step.action));
    if (step.observation) present(step.observation, step.step_index);
    else seenBy.note(step.error);
  }
}

const text = (data) => (typeof data === "string" ? data : "(bytes)");

function answered(seen, index) {
  shown = index;
  settled();
  present(seen, index);
  streamed = false;
  one("#spoken").textContent = seen.text.slice(0, 2000);
}

// Shows an answer: what was not shown as it came, how it ended, and how a pair compares.
function present(seen, index) {
  if (!streamed) seenBy.output(seen.text);
  seenBy.end(seen);
  if (isPair) compare(seen, index);
  if (seen.shell) one("#prompt").textContent = `${seen.shell.cwd}$`;
}

function compare(seen, index) {
  const other = seenBy === screens.real ? screens.simulated : screens.real;
  if (seen.counterpart) {
    other.output(seen.counterpart.text);
    other.end(seen.counterpart);
  } else other.note("this side failed");
  const item = document.createElement("li");
  const link = document.createElement("a");
  if (own) Object.assign(link, { target: "_blank", rel: "noopener" }); // leaving would end the session
  link.href = `/sessions/${session}?turn=${index}#turn-${index}`;
  link.textContent = `turn ${index}`;
  const chip = document.createElement("span");
  chip.className = `chip ${tone(seen.verdict.verdict)}`;
  chip.textContent = seen.verdict.verdict;
  item.append(link, " ", chip, ` ${seen.verdict.evidence.slice(0, 2).join("; ")}`);
  one("#verdicts").prepend(item);
}

function tone(verdict) {
  if (["AGREES", "AGREES_BUT_LAYOUT", "VOLATILE_ONLY"].includes(verdict)) return "right";
  return ["BACKEND_FAILURE", "UNSCORABLE", "UNKNOWABLE"].includes(verdict) ? "open" : "wrong";
}

function settled() {
  tell("");
  waiting = Math.max(0, waiting - 1);
  live.dataset.answers = ++answers; // for whoever drives this page with a program
}

function show() {
  const runs = waiting || isBusy;
  one("#stop").disabled = !runs;
  if (socket?.readyState === WebSocket.OPEN) one("#state").textContent = isRecalling ? "loading" : runs ? "running" : "ready";
}

function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) {
    if (!isOver) tell("The connection is lost; it is tried again.");
    return false;
  }
  socket.send(JSON.stringify(message));
  return true;
}

async function run() {
  await recalled;
  const action = input.value;
  if (!action.trim()) return;
  if (waiting || isBusy) {
    tell("Something runs, and what is typed here is no input for it. Stop it with Ctrl+C or Stop; then Enter runs this line.");
    return;
  }
  if (!send({ step: { action } })) return;
  tell("");
  waiting += 1;
  history.add(action);
  for (const screen of Object.values(screens)) screen.typed(one("#prompt").textContent, action);
  show();
}

one("#line").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    run();
  } else if (event.key === "c" && event.ctrlKey && input.selectionStart === input.selectionEnd) {
    event.preventDefault();
    if (waiting || isBusy) send({ interrupt: {} });
    else input.value = "";
  } else if (event.key === "PageUp" || event.key === "PageDown") {
    event.preventDefault();
    for (const screen of Object.values(screens)) screen.scroll(event.key === "PageUp" ? -1 : 1);
  } else history.key(event);
});
for (const screen of Object.values(screens)) screen.whenClicked(() => input.focus());
one("#stop").addEventListener("click", () => send({ interrupt: {} }));
one("#keep")?.addEventListener("change", (event) => send({ keep: event.target.checked }));
one("#end").addEventListener("click", async () => {
  if (await call(`/v1/sessions/${session}`, { method: "DELETE" })) location.assign(`/sessions/${session}`);
});
one("#line .button").disabled = false; // from here on there is somebody who listens
connect();
input.focus();
