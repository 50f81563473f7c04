// Calls to the server, and how a person is told what went wrong.

const place = document.querySelector("#problem");

export function tell(sentence) {
  place.textContent = sentence;
  place.hidden = !sentence;
}

// Gives the response, or null after telling the problem's sentence.
export async function call(path, options = {}) {
  tell("");
  try {
    const response = await fetch(path, { method: "POST", ...options });
    if (response.ok) return response;
    const details = await response.json();
    tell(details.detail);
  } catch (error) {
    tell(`The gateway does not answer (${error.message}).`);
  }
  return null;
}

export function post(path, data) {
  return call(path, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });
}
