// Numbers and names as people read them, as the reports in the terminal write them.

function slug(text) {
  return text.replace(/[^a-z0-9]+/g, "-");
}

function grouped(number) {
  return number.toLocaleString("en");
}

function plural(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function clipped(text, length) {
  return text.length <= length ? text : `${text.slice(0, length).trimEnd()}…`;
}

/** A name that may be broken after its underscores. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((piece, index) => (index ? [element("wbr"), piece] : [piece]));
}

function seconds(duration) {
  if (duration === 0) return "0 s";
  if (duration < 0.00995) return `${(duration * 1000).toFixed(1)} ms`;
  if (duration < 0.9995) return `${(duration * 1000).toFixed(0)} ms`;
  if (duration < 9.995) return `${duration.toFixed(2)} s`;
  if (duration < 59.95) return `${duration.toFixed(1)} s`;
  const whole = Math.round(duration);
  const hours = Math.floor(whole / 3600);
  const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours} h ${twoDigits(minutes)} min` : `${minutes} min ${twoDigits(rest)} s`;
}

function twoDigits(number) {
  return String(number).padStart(2, "0");
}
