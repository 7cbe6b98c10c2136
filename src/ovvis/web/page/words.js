// What to look for: words, lists of words, models.

import { $, cell, choices, size } from "/static/common.js";

function weights(model) {
  if (model.exported) return model.exported;
  if (model.packaged) return "in the package";
  if (model.here) return "here";
  return `to be fetched: about ${size(model.fetch_bytes)}`;
}

export function fillModels() {
  const before = $("model").value;
  $("model").replaceChildren();
  for (const model of choices.models) {
    const option = new Option(`${model.name} (${weights(model)})`, model.name);
    option.selected = before ? before === model.name : model.chosen;
    $("model").append(option);
  }
  const body = document.querySelector("#models tbody");
  body.replaceChildren();
  for (const model of choices.models) {
    const row = body.insertRow();
    cell(row, model.name);
    cell(row, weights(model));
    cell(row, model.ap["LV-VIS val"]?.toFixed(1) ?? "", true);
    cell(row, model.seconds_a_frame?.toFixed(2) ?? "", true);
    cell(row, model.trained_on);
    cell(row, model.licence);
  }
  tellModel();
}

export function tellModel() {
  const model = choices.models.find((one) => one.name === $("model").value);
  if (!model) return;
  const parts = model.exported
    ? [model.exported]
    : [`${model.parameters_millions} M parameters, trained on ${model.trained_on}`];
  parts.push(model.here ? "weights on the server" : `the server fetches about ${size(model.fetch_bytes)} at the first use`);
  if (model.seconds_a_frame) parts.push(`${model.seconds_a_frame.toFixed(2)} s a frame here, as last measured`);
  if (model.own_words) parts.push(`without words it looks for its own (${model.own_words})`);
  if (model.packaged) parts.push("it knows illustrated objects and nothing else; take a published model for real footage");
  $("model-help").textContent = `${parts.join("; ")}.`;
}

export function pressLists() {
  const words = $("words").value.trim().toLowerCase();
  for (const chip of $("lists").children) chip.setAttribute("aria-pressed", String(chip.dataset.name === words));
}

export function fillLists() {
  $("lists").replaceChildren();
  for (const list of choices.vocabularies) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.dataset.name = list.name;
    chip.textContent = `${list.name} (${list.count})`;
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => {
      $("words").value = $("words").value === list.name ? "" : list.name;
      pressLists();
    });
    $("lists").append(chip);
  }
}
