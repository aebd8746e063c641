/* The whole run in a strip: who runs when, and where something went wrong. */

const TALLEST = 7;

class Overview {
  constructor(run, paint, app, lanes) {
    Object.assign(this, { run, paint, app, lanes, stale: true, width: run.partner ? 42 : 66 });
    this.canvas = el("canvas", "map");
    this.canvas.style.width = `${this.width}px`;
    this.canvas.setAttribute("aria-hidden", "true");
    this.picture = document.createElement("canvas");
    const jump = (event) => {
      const { rows } = run, at = (event.offsetY / this.span) * rows.length;
      app.go(rows[clamp(Math.floor(at), 0, rows.length - 1)], run.index);
    };
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); jump(event); });
    this.canvas.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
    this.canvas.addEventListener("wheel", (event) => { lanes.scroll.scrollTop += event.deltaY; }, { passive: true });
  }

  draw() {
    const height = this.lanes.scroll.clientHeight;
    if (this.stale || this.height !== height) this.prepare(height);
    const { run, paint } = this, c = sharpen(this.canvas, this.width, height);
    const y = (position) => (position / run.rows.length) * this.span;
    c.drawImage(this.picture, 0, 0, this.width, height);
    const { scrollTop } = this.lanes.scroll, shown = (height - HEAD) / ROW;
    c.fillStyle = paint.cursor;
    c.fillRect(0, y(scrollTop / ROW), this.width, Math.max(4, y(shown)));
    c.fillStyle = paint.accent;
    c.fillRect(0, y(run.position(run.at)) - 1, this.width, 2);
  }

  /* A column for each thread; for each actor where there is only one thread. */
  columns() {
    const { run } = this, kind = run.threads.size > 1 ? "thread" : "actor", found = new Map();
    run.lanes.forEach((lane, i) => { if (lane.kind === kind) found.set(i, found.size); });
    return found.size ? found : new Map([[0, 0]]);
  }

  /* Draw what does not depend on the cursor. */
  prepare(height) {
    this.stale = false;
    this.height = height;
    this.span = Math.min(height, this.run.rows.length * TALLEST);
    const { run, paint, app } = this, c = sharpen(this.picture, this.width, height), total = run.rows.length;
    const columns = this.columns(), wide = Math.max(1, (this.width - 22) / columns.size);
    const tall = Math.max(1, Math.ceil(this.span / total)), y = (row) => Math.round((run.before[row] / total) * this.span);
    c.fillStyle = paint.sheet;
    c.fillRect(0, 0, this.width, height);
    const own = (lane) => 12 + (columns.get(lane) ?? 0) * wide;
    c.globalAlpha = 0.35;
    for (const each of run.waits) {
      c.fillStyle = paint.hatch(c, paint.thread(each.thread));
      c.fillRect(own(each.thread), y(each.first), Math.max(1, wide - 1), Math.max(1, y(each.last) - y(each.first)));
    }
    c.globalAlpha = 1;
    for (const row of run.rows) {
      const { thread, lane } = run.slice(row);
      c.fillStyle = paint.thread(thread);
      c.fillRect(own(columns.has(lane) ? lane : thread), y(row), Math.max(1, wide - 1), tall);
    }
    const mark = (row, colour, from, width) => { c.fillStyle = colour; c.fillRect(from, y(row) - 1, width, Math.max(2.5, Math.min(tall, 4))); };
    if (app.find.active) for (const row of run.rows) if (app.find.matches(run, row)) mark(row, paint.warn, this.width - 9, 9);
    for (const row of run.racing) mark(row, paint.warn, 0, 10);
    for (const problem of run.problems) mark(problem.row, problem.grave ? paint.bad : paint.warn, 0, this.width);
    if (app.parting && !app.parting.same && app.parting.row < run.size) mark(app.parting.row, paint.accent, 0, this.width);
  }
}
