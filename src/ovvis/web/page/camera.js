// The camera tab: a frame goes to the server, its painted picture comes back, then the next one goes; a camera of the
// server's sends pictures alone.

import { $, choices, show, size } from "/static/common.js";

const EDGE = 640; // pixels of a frame's long edge
let socket = null, stream = null, sent = 0, latency = 0, rate = []; // times in milliseconds

function state(text) {
  if ($("camera-state").textContent !== text) $("camera-state").textContent = text;
}

function running(is) {
  $("camera-start").disabled = $("camera").disabled = is;
  $("camera-stop").disabled = $("camera-words").disabled = !is;
}

function stop(why = "") {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  const old = socket;
  socket = null;
  old?.close();
  running(false);
  state(why ? "" : "Stopped.");
  show($("camera-problem"), why);
}

async function start() {
  show($("camera-problem"), "");
  if ($("camera").value) {
    running(true);
    state("Asking the server ...");
    connect(null);
    return;
  }
  if (!navigator.mediaDevices) {
    show($("camera-problem"), "the browser gives its camera only to this machine's own pages (127.0.0.1, localhost) and to https");
    return;
  }
  running(true);
  state("Asking for the camera ...");
  const video = $("camera-video");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: EDGE }, height: { ideal: 360 } } });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stop(`the camera cannot be used: ${error.message}`);
    return;
  }
  connect(video);
}

function connect(video) {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/camera`);
  socket.binaryType = "blob";
  const mine = socket;
  const wish = { words: $("words").value, model: $("model").value, camera: video ? null : +$("camera").value };
  socket.onopen = () => mine.send(JSON.stringify(wish));
  socket.onclose = () => { if (socket === mine) stop("the server ended the session"); };
  socket.onmessage = async (event) => {
    if (socket !== mine) return;
    if (typeof event.data === "string") hear(JSON.parse(event.data), video, mine);
    else await draw(event.data, video, mine);
  };
}

function hear(said, video, mine) {
  if (said.refused) show($("camera-problem"), said.refused);
  if (said.counts) {
    const parts = Object.entries(said.counts).map(([label, count]) => `${count} ${label}`);
    $("camera-counts").textContent = parts.length ? parts.join(", ") : "nothing of what is looked for";
    if (!video) latency = said.latency * 1000;
  }
  if (said.state === "waiting") state(said.ahead ? `Waiting: ${said.ahead} before this camera` : "Next in the queue");
  if (said.state === "preparing") {
    const part = said.total ? ` (${size(said.done)} of ${size(said.total)})` : "";
    state({ fetching: `The model's weights are fetched${part}`, words: "The words are read" }[said.stage] ?? "The model is loaded");
  }
  if (said.state === "running") { state("Running"); if (video) send(video, mine); }
  if (said.state === "ended") stop(said.why);
}

const grab = document.createElement("canvas");

function send(video, mine) {
  const scale = Math.min(1, EDGE / Math.max(video.videoWidth, video.videoHeight));
  if (sent === 0) [grab.width, grab.height] = [video.videoWidth * scale, video.videoHeight * scale];
  grab.getContext("2d").drawImage(video, 0, 0, grab.width, grab.height);
  sent = performance.now();
  grab.toBlob((blob) => { if (socket === mine && blob) mine.send(blob); }, "image/jpeg", 0.85);
}

async function draw(blob, video, mine) {
  const picture = await createImageBitmap(blob), canvas = $("camera-picture");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const now = performance.now();
  if (video) latency = now - sent;
  rate = [...rate.filter((then) => now - then < 3000), now];
  const fps = rate.length > 1 ? (rate.length - 1) / ((now - rate[0]) / 1000) : 0;
  canvas.dataset.drawn = String(+(canvas.dataset.drawn ?? 0) + 1);
  state("Running");
  $("camera-rate").textContent = `${fps.toFixed(1)} pictures a second, ${Math.round(latency)} ms from capture to picture`;
  if (socket === mine && video) send(video, mine);
}

function tell() {
  $("camera-help").textContent = $("camera").value
    ? "It belongs to the server: everybody who may use this page may watch it. Its pictures are not kept."
    : "Its pictures go to the server that gave out this page, and are not kept.";
}

document.addEventListener("ready", () => {
  $("camera").append(...choices.cameras.map((name, i) => new Option(`the server's: ${name}`, String(i))));
  $("camera").parentElement.hidden = choices.cameras.length === 0;
});
$("camera").addEventListener("change", tell);
tell();
$("camera-start").addEventListener("click", () => { sent = 0; start(); });
$("camera-stop").addEventListener("click", () => stop());
$("camera-words").addEventListener("click", () => {
  show($("camera-problem"), "");
  socket?.send(JSON.stringify({ words: $("words").value }));
});
document.addEventListener("tab", (event) => { if (event.detail !== "tab-camera" && socket) stop(); });
