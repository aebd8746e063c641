/* The lanes of one run: their places, what can be scrolled and pointed at. */

class Lanes extends Drawing {
  constructor(run, paint, app) {
    super();
    Object.assign(this, { run, paint, app, hover: -1 });
    this.gutter = 34 + 7 * Math.max(3, String(run.step(run.size - 1)).length);
    this.root = el("div", "pane");
    this.title = el("h2");
    this.body = el("div", "body");
    this.scroll = el("div", "scroll");
    this.scroll.tabIndex = 0;
    this.canvas = el("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `lanes: ${run.lanes.map((lane) => lane.name).join(", ")}`);
    this.spacer = el("div");
    this.scroll.append(this.canvas, this.spacer);
    this.map = new Overview(run, paint, app, this);
    this.body.append(this.scroll, this.map.canvas);
    this.root.append(this.title, this.body);
    this.scroll.addEventListener("scroll", () => { app.scrolled(this); app.draw(); }, { passive: true });
    this.canvas.addEventListener("mousemove", (event) => this.point(event));
    this.canvas.addEventListener("mouseleave", () => { this.hover = -1; app.tip(""); app.draw(); });
    this.canvas.addEventListener("click", (event) => {
      const row = this.rowAt(event.offsetY);
      if (row >= 0) app.go(row, run.index);
    });
  }

  /* Share the width out among the lanes. */
  layout() {
    const { run } = this, width = this.scroll.clientWidth, height = this.scroll.clientHeight;
    const slots = (kind) => run.lanes.reduce((sum, lane) => sum + (lane.kind === kind ? lane.slots : 0), 0);
    const [threads, actors, locks] = ["thread", "actor", "lock"].map(slots);
    const tight = run.partner !== undefined, thread = threads > 24 ? 14 : tight ? 18 : 26, lock = tight || locks > 30 ? 8 : 13;
    const room = width * 0.46 - this.gutter - threads * thread - locks * (lock + 3) - 24;
    const actor = clamp(Math.floor(room / Math.max(actors, 1)), tight ? 15 : 24, 116);
    const wide = { thread, actor, lock };
    let x = this.gutter + 4, kind = "thread", began = x;
    this.columns = run.lanes.map((lane) => {
      if (lane.kind !== kind) { x = began = Math.max(x, began + NARROWEST_GROUP - 12) + 12; kind = lane.kind; }
      const column = { x, slot: wide[kind], width: wide[kind] * lane.slots + (kind === "lock" ? 3 : 0) };
      x += column.width;
      return column;
    });
    this.whoX = x + 14;
    this.textX = this.whoX + (tight ? 0 : WHO);
    this.width = width;
    this.height = height;
    sharpen(this.canvas, width, height);
    this.spacer.style.width = `${Math.max(width, this.textX + 320)}px`;
    this.resize();
  }

  resize() {
    const rows = this.run.rows.length * ROW + HEAD + 8;
    this.spacer.style.height = `${Math.max(0, rows - this.height)}px`;
    this.map.stale = true;
  }

  top(position) { return HEAD + position * ROW - this.scroll.scrollTop; }

  rowAt(y) {
    if (y < HEAD) return -1;
    const position = Math.floor((y - HEAD + this.scroll.scrollTop) / ROW);
    return position < this.run.rows.length ? this.run.rows[position] : -1;
  }

  /* Scroll so that a row can be seen, with some rows around it. */
  reveal(row) {
    const y = this.run.position(row) * ROW, room = this.height - HEAD, margin = Math.min(5 * ROW, room / 4);
    const { scrollTop } = this.scroll;
    if (y < scrollTop + margin || y > scrollTop + room - margin - ROW) {
      const far = y < scrollTop - room || y > scrollTop + 2 * room;
      this.scroll.scrollTop = far ? y - room / 2 : y < scrollTop + margin ? y - margin : y - room + margin + ROW;
    }
  }

  get perPage() { return Math.max(1, Math.floor((this.height - HEAD) / ROW) - 2); }

  /* Say what the pointer points to. */
  point(event) {
    const row = this.rowAt(event.offsetY), x = event.offsetX + this.scroll.scrollLeft;
    const lane = this.columns.findIndex((column) => x >= column.x && x < column.x + column.width);
    if (row !== this.hover) { this.hover = row; this.app.draw(); }
    this.app.tip(this.says(row, lane, x), event.clientX, event.clientY);
  }

  says(row, lane, x) {
    const { run } = this;
    if (lane < 0) return "";
    const { name, kind } = run.lanes[lane];
    if (row < 0) return `${kind} ${name}`;
    const slot = Math.floor((x - this.columns[lane].x) / this.columns[lane].slot);
    const hit = (list) => list.find((s) => s.lane === lane && s.slot === slot && s.first <= row && row <= s.last);
    const span = (s) => `steps ${run.step(s.first)} to ${run.step(s.last)}`;
    const thread = (s) => run.lanes[s.thread].name;
    if (kind === "lock") {
      const held = hit(run.holds), wait = hit(run.waits);
      if (held) return `${thread(held)} holds ${name}${held.label === "read" ? " for read" : ""}, ${span(held)}`;
      return wait ? `${thread(wait)} waits for ${name}, ${span(wait)}` : `lock ${name}`;
    }
    const waiting = kind === "thread" && run.waits.find((s) => s.thread === lane && s.first <= row && row <= s.last);
    if (waiting) return `${name} waits for ${run.lanes[waiting.lane].name}, ${span(waiting)}`;
    const inside = kind === "actor" && run.slices.findLast((s) => s.lane === lane && s.slot === slot && s.first <= row && row <= s.last);
    return inside ? `${thread(inside)} in ${name}: ${inside.label}, ${span(inside)}` : `${kind} ${name}`;
  }
}
