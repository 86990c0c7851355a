// The colours that were chosen last time, before anything is painted.

const THEME_KEY = "ragcheck-theme";

/** Storage may be forbidden, as it is for files in some browsers: then the choice lasts as long as the page. */
function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

function storeTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // It lasts as long as the page.
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const stored = storedTheme();
if (stored === "dark" || stored === "light") setTheme(stored);

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const label = button.querySelector("span");
  const show = () => {
    label.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
  };
  button.addEventListener("click", () => {
    setTheme(isDark() ? "light" : "dark");
    storeTheme(document.documentElement.dataset.theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  button.hidden = false;
  show();
});
