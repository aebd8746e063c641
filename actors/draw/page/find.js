/* Search: over everything that a step says. */

const LOOKED_AT = ["text", "thread", "actor", "function", "operation", "object", "event"];

class Find {
  constructor(app) {
    this.app = app;
    this.input = document.getElementById("find");
    this.output = document.getElementById("found");
    this.box = this.input.closest(".find");
    this.rows = new Map();
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => this.key(event));
  }

  get active() { return this.rows.size > 0; }

  matches(run, row) { return this.active && this.rows.get(run).has(row); }

  key(event) {
    if (event.key === "Enter") {
      const step = /^#\s*(\d+)$/.exec(this.input.value.trim());
      if (step) this.app.goStep(Number(step[1])); else this.next(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.input.value = "";
      this.look();
      this.input.blur();
      this.app.focus();
    } else return;
    event.preventDefault();
  }

  look() {
    const query = this.input.value.trim().toLowerCase();
    this.rows.clear();
    if (query && !/^#\s*\d*$/.test(query)) for (const run of this.app.runs) this.rows.set(run, this.rowsOf(run, query));
    this.say();
    this.app.redrawMaps();
  }

  rowsOf(run, query) {
    const hit = run.texts.map((text) => text.toLowerCase().includes(query)), found = new Set();
    const columns = LOOKED_AT.map((name) => run.data[name]);
    for (let row = 0; row < run.size; row++) if (columns.some((column) => hit[column[row]])) found.add(row);
    return found;
  }

  say() {
    const { run } = this.app, rows = this.active ? [...this.rows.get(run)] : [];
    const at = rows.indexOf(run.at);
    this.box.classList.toggle("none", this.active && !rows.length);
    this.output.textContent = !this.active ? "" : rows.length ? `${at >= 0 ? `${count.format(at + 1)}/` : ""}${count.format(rows.length)}` : "nothing";
  }

  /* Go to the next match, or the one before; round at the ends. */
  next(step) {
    if (!this.active) return;
    const { run } = this.app, rows = [...this.rows.get(run)];
    if (!rows.length) return;
    const on = step > 0 ? rows.find((row) => row > run.at) : rows.findLast((row) => row < run.at);
    this.app.go(on === undefined ? rows.at(step > 0 ? 0 : -1) : on);
  }
}
