// A result: the viewer, the table, what can be taken away.

import { $, POLL, ask, cell, choices, duration, post, show, size } from "/static/common.js";

export async function result(entry, job) {
  entry.result.replaceChildren($("result-template").content.cloneNode(true));
  entry.result.hidden = false;
  const found = (selector) => entry.result.querySelector(selector);
  for (const note of [job.outcome.problem, ...job.outcome.notes].filter(Boolean)) {
    const line = document.createElement("p");
    line.className = "help";
    line.textContent = note;
    entry.result.prepend(line);
  }
  const viewer = found("iframe");
  viewer.src = `/api/jobs/${job.id}/view`;
  viewer.title = `${job.name} with what was found in it`;
  const range = found("input[type=range]"), output = found("output"), select = found(".take select"), caption = found("caption");
  range.id = `score-${job.id}`;
  found(".threshold label").htmlFor = range.id;
  select.id = `take-${job.id}`;
  found(".take label").htmlFor = select.id;
  for (const format of choices.formats) select.append(new Option(`${format.name}: ${format.summary}`, format.name));
  found(".take-button").addEventListener("click", (event) => {
    take(job, entry, { format: select.value, min_score: +range.value, ...lookOf(viewer) }, event.target);
  });
  try {
    const tracks = await ask(`/api/jobs/${job.id}/tracks`);
    const fill = () => {
      output.textContent = (+range.value).toFixed(2);
      const rows = tracks.tracks.filter((track) => track.score >= +range.value);
      caption.textContent = `${rows.length} of ${tracks.tracks.length} instances`;
      fillTracks(found("tbody"), rows, tracks.frames);
    };
    range.addEventListener("input", fill);
    fill();
    together(viewer, range);
  } catch (error) {
    show(entry.problem, error.message);
  }
}

// The viewer's least score and the page's are one: whoever moves either moves both.
function together(viewer, range) {
  const tie = () => {
    // Before its scripts have run, the viewer's slider is there but not yet its own.
    if (!viewer.contentWindow?.ovvisViewer) return;
    const inside = viewer.contentDocument, other = inside.getElementById("threshold");
    if (other.dataset.tied) return;
    other.dataset.tied = "yes";
    const follow = () => {
      if (range.value === other.value) return;
      range.value = other.value;
      range.dispatchEvent(new Event("input"));
    };
    const lead = () => {
      if (range.value === other.value) return;
      other.value = range.value;
      other.dispatchEvent(new Event("input"));
    };
    range.addEventListener("input", lead);
    // Its keys and links change it, too, and say so here alone.
    new MutationObserver(follow).observe(inside.getElementById("threshold-value"), { childList: true, characterData: true, subtree: true });
    if (range.value === range.defaultValue) follow();
    else lead(); // the visitor was faster than the viewer
  };
  viewer.addEventListener("load", tie);
  tie();
}

// How the viewer paints now: so the painted video looks, too.
function lookOf(viewer) {
  const of = (id) => viewer.contentDocument?.getElementById(id);
  if (!of("opacity")) return {};
  return { opacity: +of("opacity").value, outlines: of("outlines").checked, names: of("names").checked };
}

function fillTracks(body, rows, frames) {
  body.replaceChildren();
  for (const track of rows) {
    const row = body.insertRow();
    const id = cell(row, "");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = track.colour;
    id.append(swatch, String(track.id));
    cell(row, track.label);
    cell(row, track.score.toFixed(3), true);
    cell(row, `${track.frames}/${frames}`, true);
    cell(row, track.from === null ? "" : `${track.from.toFixed(1)} - ${track.to.toFixed(1)}`, true);
    cell(row, track.others.map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", "));
  }
}

async function take(job, entry, wanted, button) {
  const state = entry.result.querySelector(".take-state");
  button.disabled = true;
  state.classList.remove("problem");
  state.textContent = "Preparing ...";
  const watching = setInterval(async () => {
    const how = await ask(`/api/jobs/${job.id}/exports`).catch(() => null);
    if (button.disabled && how?.done && how.total) {
      const left = how.remaining === null ? "" : `, about ${duration(how.remaining)} left`;
      state.textContent = `Preparing: ${how.done.toLocaleString("en")} of ${how.total.toLocaleString("en")}${left}`;
    }
  }, POLL);
  try {
    const made = await post(`/api/jobs/${job.id}/exports`, wanted);
    state.textContent = `${wanted.format}: ${size(made.size)}`;
    const link = document.createElement("a");
    link.href = made.url;
    link.download = "";
    link.click();
  } catch (error) {
    state.classList.add("problem");
    state.textContent = error.message;
  } finally {
    clearInterval(watching);
    button.disabled = false;
  }
}
