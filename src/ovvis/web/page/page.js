// The page: an upload, the jobs of this browser, and how they are.

import { $, POLL, ask, choices, duration, know, post, show, size } from "/static/common.js";
import { result } from "/static/result.js";
import { fillLists, fillModels, pressLists, tellModel } from "/static/words.js";

// ---- an upload

let chosen = null;

function choose(file) {
  chosen = file || null;
  show($("chosen"), chosen ? `${chosen.name} (${size(chosen.size)})` : "");
  show($("form-problem"), "");
}

addEventListener("beforeunload", (event) => { if (uploads.size) event.preventDefault(); }); // it would break off

// A video may be dropped anywhere: beside the field, a browser would leave the page for it.
function dropping() {
  const over = (is) => $("drop").classList.toggle("over", is);
  const brings = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    over(false);
    if (!brings(event)) return;
    event.preventDefault();
    $("tab-video").click();
    const given = event.dataTransfer, entry = given.items[0]?.webkitGetAsEntry?.();
    if (entry?.isDirectory) show($("form-problem"), `${entry.name} is a folder: drop a video`);
    else if (given.files.length > 1) show($("form-problem"), `${given.files.length} files were dropped: one video at a time`);
    else choose(given.files[0]);
  });
}

const uploads = new Map(); // job -> the request that brings its video

function upload(job, file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
    uploads.set(job.id, request);
    request.open("PUT", `/api/jobs/${job.id}/video`);
    request.upload.onprogress = (event) => {
      const entry = shown.get(job.id);
      if (entry) tellProgress(entry, { ...job, state: "uploading", done: event.loaded, total: event.total });
    };
    request.onloadend = () => {
      uploads.delete(job.id);
      if (request.status === 200) return resolve();
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { /* told below */ }
      reject(new Error(said.error || "the upload did not come through: the connection broke, or it was cancelled"));
    };
    request.send(file);
  });
}

async function begin(file) {
  const wish = { name: file.name, size: file.size, words: $("words").value, model: $("model").value, every: +$("every").value };
  if (file.size > choices.limits.upload) {
    throw new Error(`${file.name} has ${size(file.size)}, more than the ${size(choices.limits.upload)} that this page takes: cut it, or encode it smaller`);
  }
  const job = await post("/api/jobs", wish);
  files.set(job.id, file);
  update([job], false);
  shown.get(job.id).item.scrollIntoView({ block: "nearest" });
  say(`Uploading ${job.name}`);
  upload(job, file).catch((error) => {
    const entry = shown.get(job.id);
    if (entry) show(entry.problem, error.message);
  }).finally(look);
}

const files = new Map(); // job -> its video, while this page is open

async function submit(event) {
  event.preventDefault();
  show($("form-problem"), "");
  try {
    if (!chosen) throw new Error("choose a video first");
    $("go").disabled = true;
    await begin(chosen);
  } catch (error) {
    show($("form-problem"), error.message);
  } finally {
    $("go").disabled = false;
  }
}

// ---- the jobs

const shown = new Map();
let last = "";

function say(text) {
  if (text !== last) $("said").textContent = last = text;
}

const STAGES = {
  loading: "Loading the model", fetching: "Fetching the model's weights", words: "Reading the words",
  frames: "Segmenting", viewer: "Preparing the viewer", "": "Starting",
};

function progressText(job) {
  if (job.state === "uploading") {
    return `Uploading${job.total ? ` ${size(job.done)} of ${size(job.total)}` : ""}`;
  }
  if (job.state === "waiting") {
    return job.ahead === 0 ? "Next in the queue" : `Waiting: ${job.ahead} ${job.ahead === 1 ? "job is" : "jobs are"} before this one`;
  }
  if (job.state === "running") {
    const many = job.stage === "fetching" ? size : (n) => n.toLocaleString("en");
    const unit = { frames: " frames", words: " words" }[job.stage] ?? "";
    const count = job.done ? ` ${many(job.done)}${job.total ? ` of ${many(job.total)}` : ""}${unit}` : "";
    const left = job.remaining === null ? "" : `, about ${duration(job.remaining)} left`;
    return `${STAGES[job.stage] ?? job.stage}${count}${left}`;
  }
  if (job.state === "done") {
    const o = job.outcome;
    return `Done: ${o.frames} frames of ${o.width}x${o.height}. Kept for ${duration(job.kept_for)} more, then removed.`;
  }
  return job.state === "cancelled" ? "Cancelled" : "Not done";
}

function tellProgress(entry, job) {
  entry.state.textContent = progressText(job);
  const open = ["uploading", "waiting", "running"].includes(job.state);
  entry.progress.hidden = !open;
  if (job.total && job.done !== undefined && job.state !== "waiting") entry.progress.value = Math.min(job.done / job.total, 1);
  else entry.progress.removeAttribute("value");
}

function make(job) {
  const item = $("job-template").content.cloneNode(true).firstElementChild;
  const entry = { item, state: item.querySelector(".state"), progress: item.querySelector("progress"),
    problem: item.querySelector(".problem"), preview: item.querySelector(".preview"), result: item.querySelector(".result"),
    drop: item.querySelector(".drop-job"), again: item.querySelector(".again"), seen: null, was: null };
  item.dataset.id = job.id;
  const title = item.querySelector("h3");
  title.textContent = job.name;
  title.id = `job-${job.id}`;
  entry.progress.setAttribute("aria-labelledby", title.id);
  item.querySelector(".asked").textContent =
    `${job.words || "the model's own words"}; ${job.model}${job.every > 1 ? `; one frame in ${job.every}` : ""}`;
  entry.drop.addEventListener("click", () => drop(job.id));
  entry.again.addEventListener("click", () => again(job.id));
  shown.set(job.id, entry);
  return entry;
}

async function drop(id) {
  uploads.get(id)?.abort();
  try {
    const said = await ask(`/api/jobs/${id}`, { method: "DELETE" });
    if (said.removed) files.delete(id);
  } catch (error) {
    show(shown.get(id)?.problem ?? $("form-problem"), error.message);
  }
  await look();
}

async function again(id) {
  try {
    show($("form-problem"), "");
    await begin(files.get(id));
  } catch (error) {
    show($("form-problem"), error.message);
    $("form-problem").scrollIntoView({ block: "nearest" });
  }
}

function update(jobs, whole = true) {
  if (whole) {
    const there = new Set(jobs.map((job) => job.id));
    for (const [id, entry] of shown) {
      if (!there.has(id)) { entry.item.remove(); shown.delete(id); }
    }
  }
  for (const job of jobs) {
    const fresh = !shown.has(job.id);
    const entry = fresh ? make(job) : shown.get(job.id);
    if (fresh) whole ? $("jobs").append(entry.item) : $("jobs").prepend(entry.item);
    refresh(entry, job);
  }
  $("jobs-section").hidden = shown.size === 0;
}

function refresh(entry, job) {
  entry.item.dataset.state = job.state;
  if (!(job.state === "uploading" && uploads.has(job.id))) tellProgress(entry, job);
  const ended = ["done", "failed", "cancelled"].includes(job.state);
  entry.drop.textContent = ended ? "Remove" : "Cancel";
  entry.drop.setAttribute("aria-label", `${entry.drop.textContent} ${job.name}`);
  entry.again.hidden = !(ended && files.has(job.id));
  if (job.error) show(entry.problem, job.error);
  if (job.state === "running" && job.preview !== null) {
    const image = entry.preview.querySelector("img");
    if (entry.seen !== job.preview) {
      entry.seen = job.preview;
      image.src = `/api/jobs/${job.id}/preview.jpg?frame=${job.preview}`;
      image.alt = `Frame ${job.preview} of ${job.name} with what is found so far`;
      entry.preview.querySelector("figcaption").textContent = `Frame ${job.preview}: names and scores so far, which may still change`;
    }
    entry.preview.hidden = false;
  } else {
    entry.preview.hidden = true;
  }
  if (job.state === "done" && entry.was !== "done") result(entry, job);
  if (entry.was !== null && entry.was !== job.state) say(`${job.name}: ${progressText(job)}${job.error ? `. ${job.error}` : ""}`);
  entry.was = job.state;
}

// ---- the page

let timer = 0;

async function look() {
  clearTimeout(timer);
  try {
    update(await ask("/api/jobs"));
    if ($("form-problem").dataset.lost) { show($("form-problem"), ""); delete $("form-problem").dataset.lost; }
  } catch (error) {
    $("form-problem").dataset.lost = "1";
    show($("form-problem"), error.message);
  }
  const open = [...shown.values()].some((entry) => ["uploading", "waiting", "running"].includes(entry.was));
  timer = setTimeout(look, open ? POLL : 10 * POLL);
}

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const select = (tab) => {
    for (const one of all) {
      const is = one === tab;
      one.setAttribute("aria-selected", String(is));
      one.tabIndex = is ? 0 : -1;
      $(one.getAttribute("aria-controls")).hidden = !is;
    }
    document.dispatchEvent(new CustomEvent("tab", { detail: tab.id }));
  };
  for (const tab of all) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(all.indexOf(tab) + step + all.length) % all.length];
      select(next);
      next.focus();
    });
  }
}

async function start() {
  tabs();
  $("job").addEventListener("submit", submit);
  $("file").addEventListener("change", () => choose($("file").files[0]));
  dropping();
  $("words").addEventListener("input", pressLists);
  $("model").addEventListener("change", tellModel);
  try {
    know(await ask("/api/choices"));
  } catch (error) {
    show($("form-problem"), error.message);
    return;
  }
  fillModels();
  fillLists();
  const { in_words: most, kept } = choices.limits;
  $("limits").textContent = `${most}. Video and results are yours alone, and removed ${kept} after the job has ended. If you close the page, the job goes on.`;
  $("foot").textContent = `ovvis ${choices.version}`;
  document.dispatchEvent(new Event("ready"));
  document.body.dataset.ready = "yes";
  await look();
}

start();
