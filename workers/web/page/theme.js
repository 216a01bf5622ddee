// Loaded before the first paint: the colours that were chosen here, else those of the system.
(() => {
  const chosen = (() => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  })();
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
