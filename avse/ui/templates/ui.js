// Faces to click, and a player that mixes before (left channel) and after (right channel) of one audio file.
(() => {
  let current = null;

  const strength = () => {
    const slider = document.querySelector("#avse-strength input[type=range]");
    return slider ? Math.min(1, Math.max(0, Number(slider.value))) : 1;
  };

  function mix(root) {
    const side = root.querySelector("input[name=avse-side]:checked").value;
    const voice = side === "after" ? strength() : 0;
    root.mix = { before: 1 - voice, after: voice };
    for (const figure of root.querySelectorAll(".track")) figure.classList.toggle("current", figure.dataset.side === side);
    for (const [name, gain] of Object.entries(root.gains || {})) gain.gain.value = root.mix[name];
  }

  function connect(root, audio) {
    const context = new AudioContext();
    const split = context.createChannelSplitter(2);
    context.createMediaElementSource(audio).connect(split);
    root.gains = {};
    ["before", "after"].forEach((name, channel) => {
      root.gains[name] = context.createGain();
      split.connect(root.gains[name], channel);
      root.gains[name].connect(context.destination);
    });
    root.context = context;
    mix(root);
  }

  function follow(root, audio, video) {
    const place = () => audio.currentTime + Number(root.dataset.delay);
    const catchUp = most => { if (Math.abs(video.currentTime - place()) > most) video.currentTime = place(); };
    audio.addEventListener("play", () => { catchUp(0.02); video.play().catch(() => {}); });
    audio.addEventListener("pause", () => { video.pause(); catchUp(0.02); });
    audio.addEventListener("seeked", () => catchUp(0.02));
    audio.addEventListener("timeupdate", () => { if (!audio.paused) catchUp(0.12); });
    audio.addEventListener("ratechange", () => { video.playbackRate = audio.playbackRate; });
    video.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
    video.addEventListener("error", () => {
      video.hidden = true;
      root.querySelector(".no-video").hidden = false;
    });
  }

  function setUp(root) {
    root.dataset.ready = "";
    current = root;
    const audio = root.querySelector("audio"), video = root.querySelector("video");
    audio.addEventListener("play", () => {
      if (!root.context) connect(root, audio);
      root.context.resume();
    });
    audio.addEventListener("timeupdate", () => {
      for (const line of root.querySelectorAll(".playhead")) line.style.left = `${100 * audio.currentTime / (audio.duration || 1)}%`;
    });
    if (video) follow(root, audio, video);
    for (const lanes of root.querySelectorAll(".lanes")) {
      lanes.addEventListener("click", event => {
        const box = lanes.getBoundingClientRect();
        audio.currentTime = (event.clientX - box.left) / box.width * audio.duration;
      });
    }
    for (const choice of root.querySelectorAll("input[name=avse-side]")) choice.addEventListener("change", () => mix(root));
    mix(root);
  }

  function leave() {
    if (!current || current.isConnected) return;
    current.querySelector("audio").pause();
    current.context?.close();
    current = null;
  }

  const boxes = () => [...document.querySelectorAll("#avse-choice input[type=checkbox]")];

  function press() {
    const chosen = boxes().map(box => box.checked);
    for (const button of document.querySelectorAll("[data-face]")) {
      const pressed = String(Boolean(chosen[button.dataset.face - 1]));
      if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
    }
  }

  document.addEventListener("click", event => {
    const button = event.target.closest?.("[data-face]");
    if (button) boxes()[button.dataset.face - 1]?.click();
  });
  document.addEventListener("change", press);
  document.addEventListener("input", event => {
    if (current && event.target.closest?.("#avse-strength")) mix(current);
  });
  new MutationObserver(() => {
    leave();
    document.querySelectorAll(".avse-player:not([data-ready])").forEach(setUp);
    press();
  }).observe(document, { childList: true, subtree: true });
})();
