// Plays an HLS stream: by the browser itself where it can, else piece by piece through Media Source Extensions.

const HLS = "application/vnd.apple.mpegurl";
const CODEC = 'video/mp4; codecs="avc1.42C01E"';

export async function play(root, key, title) {
  const dialog = document.getElementById("player");
  const video = dialog.querySelector("video");
  const text = document.getElementById("player-text");
  document.getElementById("player-title").textContent = title;
  text.textContent = "Asking the server…";
  dialog.showModal();
  const began = performance.now();
  const answer = await fetch(`${root}/api/plex/playback/${key}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ bandwidth: measured() }),
  });
  const { stream, decision, bitrate, resolution, detail } = await answer.json();
  if (!answer.ok) {
    text.textContent = detail || `Status ${answer.status}`;
    return;
  }
  text.textContent = `${decision} ${resolution}, ${bitrate} kbit/s at most; decided in ${Math.round(performance.now() - began)} ms.`;
  if (video.canPlayType(HLS)) video.src = stream;
  else await piecewise(video, new URL(stream, location.href));
  video.play().catch(() => { /* the person presses play */ });
}

// Kilobits each second of the latest pictures; null when too few came over the wire to tell.
function measured() {
  const seen = performance.getEntriesByType("resource").filter((one) => one.transferSize > 4000).slice(-8);
  const bits = seen.reduce((sum, one) => sum + one.transferSize * 8, 0);
  const time = seen.reduce((sum, one) => sum + one.responseEnd - one.responseStart, 0);
  return seen.length < 4 || !time ? null : Math.round(bits / time);
}

async function piecewise(video, master) {
  const lines = (text) => text.split("\n").map((line) => line.trim());
  const text = async (address) => (await fetch(address)).text();
  const index = new URL(lines(await text(master)).findLast((line) => line && !line.startsWith("#")), master);
  const found = lines(await text(index));
  const first = found.map((line) => /^#EXT-X-MAP:URI="(.*)"/.exec(line)?.[1]).find(Boolean);
  const pieces = [first, ...found.filter((line) => line && !line.startsWith("#"))].filter(Boolean);
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((open) => source.addEventListener("sourceopen", open, { once: true }));
  const buffer = source.addSourceBuffer(CODEC);
  for (const piece of pieces) {
    buffer.appendBuffer(await (await fetch(new URL(piece, index))).arrayBuffer());
    await new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));
  }
  source.endOfStream();
}

const dialog = document.getElementById("player");
document.getElementById("player-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  const video = dialog.querySelector("video");
  video.pause();
  video.removeAttribute("src");
  video.load();
});
