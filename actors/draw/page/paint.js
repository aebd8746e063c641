/* Colours, of the theme and of the threads. */

const LIGHT = ["#3b7ddd", "#e0791a", "#2d9d5c", "#9159d1", "#1497a6", "#d24d8c", "#8a861c", "#a2653f", "#5a6bd8", "#c2453a"];
const DARK = ["#6ea3f5", "#f2a057", "#63c98d", "#b78bee", "#53c3d0", "#ee82b4", "#c2bd52", "#cf9670", "#8f9cf5", "#ee8078"];
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const NAMES = ["bg", "sheet", "text", "dim", "faint", "line", "zebra", "accent", "cursor", "hover", "bad", "bad-soft", "warn", "warn-soft", "wait"];

class Paint {
  constructor() {
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.choice = this.kept();
    this.read();
  }

  /* What was chosen on an earlier visit; a browser may keep nothing for files. */
  kept() {
    try { return localStorage.getItem("tcemu-theme") || "system"; } catch { return "system"; }
  }

  get dark() { return this.choice === "system" ? this.system.matches : this.choice === "dark"; }

  turn() {
    const other = this.dark ? "light" : "dark";
    this.choice = other === (this.system.matches ? "dark" : "light") ? "system" : other;
    try { localStorage.setItem("tcemu-theme", this.choice); } catch { /* then it is forgotten */ }
    this.read();
  }

  read() {
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    const style = getComputedStyle(document.documentElement);
    for (const name of NAMES) this[name] = style.getPropertyValue(`--${name}`).trim();
    this.threads = this.dark ? DARK : LIGHT;
    this.patterns = new Map();
  }

  thread(number) { return this.threads[number % this.threads.length]; }

  /* A hatching in a colour. */
  hatch(context, colour) {
    if (!this.patterns.has(colour)) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6;
      const pen = tile.getContext("2d");
      pen.strokeStyle = colour;
      pen.lineWidth = 1.6;
      pen.beginPath();
      for (const shift of [-6, 0, 6]) { pen.moveTo(shift - 1, 7); pen.lineTo(shift + 7, -1); }
      pen.stroke();
      this.patterns.set(colour, context.createPattern(tile, "repeat"));
    }
    return this.patterns.get(colour);
  }
}

/* Make a canvas as sharp as the screen; its context, in CSS pixels. */
const sharpen = (canvas, width, height) => {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
};
