"use strict";
const base = document.getElementById("script").src.replace(/\/files\/.*$/, "");
const token = new URLSearchParams(location.search).get("token");
const at = (path) => base + path + (token ? "?token=" + encodeURIComponent(token) : "");
const $ = (id) => document.getElementById(id);
const picture = $("picture");
const words = $("words");
let touched = false; // whether the person has begun to write other labels
let over = false;

const milliseconds = (seconds) => seconds < 10 ? Math.round(seconds * 1000) + " ms" : seconds.toFixed(1) + " s";

function watch() {
  picture.src = at("/stream") + (token ? "&" : "?") + "since=" + Date.now();
}
picture.addEventListener("error", () => { if (!over) setTimeout(watch, 1000); });

function show(figures) {
  over = figures.ended;
  $("source").textContent = figures.source;
  $("fps").textContent = figures.fps.toFixed(1);
  $("p50").textContent = milliseconds(figures.latency_p50);
  $("p95").textContent = milliseconds(figures.latency_p95);
  $("left").textContent = figures.left_out.toLocaleString("en");
  $("ids").textContent = figures.ids.toLocaleString("en");
  const silent = figures.silent_for > 2 ? "waiting for a frame for " + Math.round(figures.silent_for) + " s" : "";
  $("state").textContent = figures.ended ? "The stream has ended" + (figures.problem ? ": " + figures.problem : ".") : silent;
  if (!touched && document.activeElement !== words) words.value = figures.labels.join(", ");
  $("seen").replaceChildren(...figures.instances.map((one) => {
    const row = document.createElement("li");
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.style.background = one.colour;
    const name = document.createElement("span");
    name.textContent = one.label + " #" + one.id;
    const score = document.createElement("span");
    score.className = "score";
    score.textContent = one.score.toFixed(2);
    row.append(mark, name, score);
    return row;
  }));
}

async function look() {
  try {
    const answer = await fetch(at("/figures"), { cache: "no-store" });
    const said = await answer.json();
    if (answer.ok) show(said);
    else $("state").textContent = said.error;
  } catch (error) {
    $("state").textContent = over ? $("state").textContent : "The program has ended or cannot be reached.";
  }
  setTimeout(look, over ? 3000 : 500);
}

for (const kind of ["input", "change"]) words.addEventListener(kind, () => { touched = true; });
$("labels").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  $("said").textContent = "reading the words …";
  try {
    const answer = await fetch(at("/labels"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ labels: words.value }),
    });
    const said = await answer.json();
    touched = !answer.ok;
    $("said").textContent = answer.ok
      ? "Looking for " + said.labels.length + (said.labels.length === 1 ? " label." : " labels.")
      : said.error;
  } catch (error) {
    $("said").textContent = "The program cannot be reached; nothing was changed.";
  }
  button.disabled = false;
});

// A browser keeps a page that was left, and its stream with it, for a way back.
addEventListener("pagehide", () => picture.removeAttribute("src"));
addEventListener("pageshow", (event) => { if (event.persisted) watch(); });
// A picture without an end would keep the page from ever being loaded.
addEventListener("load", () => setTimeout(watch, 0));
look();
