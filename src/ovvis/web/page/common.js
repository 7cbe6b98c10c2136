// What all of the page's scripts use.

export const $ = (id) => document.getElementById(id);
export let choices = null; // what the server offers

export function know(offered) {
  choices = offered;
}

export const POLL = 700; // milliseconds between two looks at the jobs

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer: it may have been stopped");
  }
  const text = await answer.text();
  let said = {};
  try { said = JSON.parse(text); } catch { /* told below */ }
  if (!answer.ok) throw new Error(said.error || `the server said ${answer.status}`);
  return said;
}

export const post = (path, what) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });

export function size(bytes) {
  for (const [unit, one] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (bytes >= one) return `${(bytes / one).toPrecision(3).replace(/\.?0+$/, "")} ${unit}`;
  }
  return `${bytes} bytes`;
}

export function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${(s / 3600).toFixed(1).replace(".0", "")} h`;
}

export function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

export function cell(row, text, number = false) {
  const made = row.insertCell();
  made.textContent = text;
  if (number) made.className = "n";
  return made;
}
