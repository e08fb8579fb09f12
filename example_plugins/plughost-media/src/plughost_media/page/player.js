// Plays an HLS stream: by the browser itself where it can, else piece by piece through Media Source Extensions.

const HLS = "application/vnd.apple.mpegurl";
const CODEC = 'video/mp4; codecs="avc1.42C01E"';

const BROKEN = "The film cannot be played: the stream broke off.";
let turn = 0; // the latest film: what is left of those before is nobody's any more

export async function play(root, key, title) {
  const dialog = document.getElementById("player");
  const text = document.getElementById("player-text");
  const mine = ++turn;
  const over = () => mine !== turn;
  document.getElementById("player-title").textContent = title;
  text.textContent = "Asking the server…";
  dialog.showModal();
  try {
    await begin(dialog.querySelector("video"), text, `${root}/api/plex/playback/${key}`, over);
  } catch (error) {
    if (!over()) text.textContent = error instanceof Refusal ? error.message : BROKEN;
  }
}

class Refusal extends Error {}

async function begin(video, text, address, over) {
  const began = performance.now();
  const answer = await asked(address, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ bandwidth: measured() }),
  });
  const { stream, decision, bitrate, resolution } = await answer.json();
  if (over()) return;
  text.textContent = `${decision} ${resolution}, ${bitrate} kbit/s at most; decided in ${Math.round(performance.now() - began)} ms.`;
  if (video.canPlayType(HLS)) video.src = stream;
  else await piecewise(video, new URL(stream, location.href), over);
  video.play().catch(() => { /* the person presses play */ });
}

async function asked(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const { detail } = await answer.json().catch(() => ({}));
  throw new Refusal(detail || `Status ${answer.status}`);
}

// Kilobits each second of the latest pictures; null when too few came over the wire to tell.
function measured() {
  const seen = performance.getEntriesByType("resource").filter((one) => one.transferSize > 4000).slice(-8);
  const bits = seen.reduce((sum, one) => sum + one.transferSize * 8, 0);
  const time = seen.reduce((sum, one) => sum + one.responseEnd - one.responseStart, 0);
  return seen.length < 4 || !time ? null : Math.round(bits / time);
}

async function piecewise(video, master, over) {
  const lines = (text) => text.split("\n").map((line) => line.trim());
  const text = async (address) => (await asked(address)).text();
  const index = new URL(lines(await text(master)).findLast((line) => line && !line.startsWith("#")), master);
  const found = lines(await text(index));
  const first = found.map((line) => /^#EXT-X-MAP:URI="(.*)"/.exec(line)?.[1]).find(Boolean);
  const pieces = [first, ...found.filter((line) => line && !line.startsWith("#"))].filter(Boolean);
  if (over()) return;
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((open) => source.addEventListener("sourceopen", open, { once: true }));
  const buffer = source.addSourceBuffer(CODEC);
  for (const piece of pieces) {
    const bytes = await (await asked(new URL(piece, index))).arrayBuffer();
    if (over()) return;
    buffer.appendBuffer(bytes);
    await new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));
  }
  source.endOfStream();
}

const dialog = document.getElementById("player");
dialog.querySelector("video").addEventListener("error", ({ target }) => {
  if (target.hasAttribute("src")) document.getElementById("player-text").textContent = BROKEN;
});
document.getElementById("player-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  turn += 1;
  const video = dialog.querySelector("video");
  video.pause();
  video.removeAttribute("src");
  video.load();
});
