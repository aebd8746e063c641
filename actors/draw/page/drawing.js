/* How lanes are drawn, a row a step; only what can be seen is. */

const ROW = 20, HEAD = 116, WHO = 82, NARROWEST_GROUP = 58;

const shorten = (text, size) => (text.length > size ? `${text.slice(0, size - 1)}…` : text);
const tail = (text, size) => (text.length > size ? `…${text.slice(1 - size)}` : text);

class Drawing {
  draw() {
    const { run, paint, columns } = this;
    const c = (this.context = sharpen(this.canvas, this.width, this.height));
    const left = this.scroll.scrollLeft;
    c.fillStyle = paint.sheet;
    c.fillRect(0, 0, this.width, this.height);
    c.save();
    c.translate(-left, 0);
    this.first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW));
    this.last = Math.min(run.rows.length - 1, Math.ceil((this.scroll.scrollTop + this.height - HEAD) / ROW));
    this.stripes(c, left);
    this.bands(c, left);
    const seen = (each) => run.before[each.first] <= this.last && run.before[each.last + 1] > this.first;
    for (const each of run.slices) if (seen(each)) this.slice(c, each);
    for (const each of run.waits) if (seen(each)) this.wait(c, each);
    for (const each of run.holds) if (seen(each)) this.hold(c, each);
    for (let p = this.first; p <= this.last; p++) this.cells(c, run.rows[p], this.top(p));
    for (let p = this.first; p <= this.last; p++) this.arrow(c, run.rows[p], this.top(p) + ROW / 2);
    this.brackets(c);
    for (let p = this.first; p <= this.last; p++) this.words(c, run.rows[p], this.top(p));
    this.parting(c, left);
    c.restore();
    this.heads(c, left);
    this.map.draw();
  }

  /* A faint column for each lane. */
  stripes(c, left) {
    const { paint, columns, run } = this;
    columns.forEach((column, i) => {
      if (i % 2 === 0) { c.fillStyle = paint.zebra; c.fillRect(column.x, HEAD, column.width, this.height); }
      if (i && run.lanes[i].kind !== run.lanes[i - 1].kind) {
        c.fillStyle = paint.line;
        c.fillRect(column.x - 7, HEAD, 1, this.height);
      }
    });
  }

  /* Rows that stand out: what went wrong, matches, the cursor. */
  bands(c, left) {
    const { run, paint, app } = this;
    const band = (row, colour) => {
      const y = this.top(run.position(row));
      if (y > HEAD - ROW && y < this.height) { c.fillStyle = colour; c.fillRect(left, y, this.width, ROW); }
    };
    for (let p = this.first; p <= this.last; p++) {
      const row = run.rows[p], problem = run.problemAt.get(row);
      if (row === run.at) continue;
      if (problem) band(row, problem.grave ? paint["bad-soft"] : paint["warn-soft"]);
      else if (run.racing.has(row)) band(row, paint["warn-soft"]);
      if (app.find.matches(run, row)) band(row, paint["warn-soft"]);
    }
    if (this.hover >= 0) band(this.hover, paint.hover);
    band(run.at, paint.cursor);
  }

  box(each) {
    const { run, columns } = this, column = columns[each.lane];
    const from = run.before[each.first], to = run.before[each.last + 1];
    const y = Math.max(this.top(from), HEAD - 2), end = Math.min(this.top(to), this.height + 2);
    return { x: column.x + each.slot * column.slot, width: column.slot, y, height: end - y, cut: this.top(from) < HEAD };
  }

  slice(c, each) {
    const { run, paint } = this, box = this.box(each);
    if (box.height <= 0) return;
    const colour = paint.thread(each.thread);
    c.fillStyle = colour;
    if (run.lanes[each.lane].kind === "thread") {
      c.globalAlpha = 0.4;
      c.fillRect(box.x + box.width / 2 - 1, box.y, 2, box.height);
      c.globalAlpha = 1;
      return;
    }
    c.globalAlpha = 0.2;
    c.beginPath();
    c.roundRect(box.x + 2, box.y + 1, box.width - 4, box.height - 2, 3);
    c.fill();
    c.globalAlpha = 1;
  }

  wait(c, each) {
    const box = this.box(each), colour = this.paint.thread(each.thread);
    if (box.height <= 0) return;
    const own = this.columns[each.thread];
    c.fillStyle = this.paint.hatch(c, colour);
    c.fillRect(box.x + 2, box.y + 1, box.width - 2, box.height - 2);
    c.fillRect(own.x + 3, box.y + 1, own.slot - 6, box.height - 2);
  }

  hold(c, each) {
    const box = this.box(each), colour = this.paint.thread(each.thread);
    if (box.height <= 0) return;
    c.beginPath();
    c.roundRect(box.x + 3, box.y + 2, box.width - 5, box.height - 4, 2.5);
    if (each.label === "read") { c.strokeStyle = colour; c.lineWidth = 1.6; c.stroke(); return; }
    c.fillStyle = colour;
    c.fill();
  }

  /* The thread that runs in a row: in its own lane, and where it is. */
  cells(c, row, y) {
    const { run, columns, paint } = this, inside = run.slice(row);
    const own = columns[inside.thread], colour = paint.thread(inside.thread);
    c.fillStyle = colour;
    c.fillRect(own.x + 5, y, own.slot - 10, ROW);
    const column = columns[inside.lane], x = column.x + inside.slot * column.slot;
    const inActor = run.lanes[inside.lane].kind === "actor";
    if (inActor) c.fillRect(x + 2, y, column.slot - 4, ROW);
    if (run.data.level[row] === 2 && run.text("event", row) === "access") {
      c.fillStyle = paint.sheet;
      c.beginPath();
      c.arc(x + column.slot / 2, y + ROW / 2, 2.6, 0, 7);
      c.fill();
    }
    if (inActor && inside.first === row - 1 && column.slot > 54) this.label(c, inside.label, x + 6, y + 14, column.slot - 12);
    if (run.racing.has(row)) {
      c.strokeStyle = paint.bad;
      c.lineWidth = 2.5;
      c.strokeRect(x + 1, y + 1, column.slot - 2, ROW - 2);
    }
  }

  label(c, text, x, y, width) {
    c.save();
    c.beginPath();
    c.rect(x, y - ROW, width, 2 * ROW);
    c.clip();
    c.font = `10px ${SANS}`;
    c.fillStyle = this.paint.sheet;
    c.fillText(text, x, y);
    c.restore();
  }

  centre(each) {
    const column = this.columns[each.lane];
    return column.x + (each.slot + 0.5) * column.slot;
  }

  /* A request or reply, or who wakes or starts whom. */
  arrow(c, row, y) {
    const { run, columns } = this, kind = run.text("event", row), from = run.slice(row);
    if (kind === "request") {
      const to = run.opened.get(row);
      if (to) this.line(c, this.centre(from), this.centre(to), y, this.paint.thread(from.thread), []);
    } else if (kind === "reply" && from.parent >= 0) {
      this.line(c, this.centre(from), this.centre(run.slices[from.parent]), y, this.paint.thread(from.thread), [3, 2]);
    }
    const other = run.arrows.get(row);
    if (other) {
      const [x, end] = other.map((lane) => columns[lane].x + columns[lane].slot / 2);
      this.line(c, x, end, y, this.paint.wait, [2, 2]);
    }
  }

  line(c, from, to, y, colour, dash) {
    const step = Math.sign(to - from);
    if (!step) return;
    c.strokeStyle = this.paint.sheet;
    c.lineWidth = 4;
    c.beginPath();
    c.moveTo(from, y);
    c.lineTo(to - 3 * step, y);
    c.stroke();
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = 1.6;
    c.setLineDash(dash);
    c.beginPath();
    c.moveTo(from, y);
    c.lineTo(to - 5 * step, y);
    c.stroke();
    c.setLineDash([]);
    c.strokeStyle = this.paint.sheet;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(to + step, y);
    c.lineTo(to - 7 * step, y - 4.5);
    c.lineTo(to - 7 * step, y + 4.5);
    c.closePath();
    c.stroke();
    c.fill();
  }

  /* A bracket in the gutter joins two racing accesses. */
  brackets(c) {
    const { run, paint } = this;
    for (const problem of run.problems) {
      if (problem.racing.length !== 2) continue;
      const [y, end] = problem.racing.map((row) => this.top(run.position(row)) + ROW / 2);
      if (end < HEAD || y > this.height) continue;
      c.strokeStyle = paint.bad;
      c.lineWidth = 1.5;
      c.beginPath();
      c.moveTo(11, y);
      c.lineTo(6, y);
      c.lineTo(6, end);
      c.lineTo(11, end);
      c.stroke();
    }
  }

  words(c, row, y) {
    const { run, paint } = this, style = run.text("style", row), here = row === run.at, base = y + 14;
    const problem = run.problemAt.get(row), inside = run.slice(row);
    c.font = `${here ? "600 " : ""}11px ${MONO}`;
    c.textAlign = "right";
    c.fillStyle = here ? paint.accent : paint.faint;
    c.fillText(String(run.step(row)), this.gutter - 8, base);
    c.textAlign = "left";
    if (problem || run.racing.has(row)) {
      c.fillStyle = problem && !problem.grave ? paint.warn : paint.bad;
      c.font = `12px ${SANS}`;
      c.fillText(problem ? "●" : "◆", 9, base + 0.5);
    }
    if (this.textX > this.whoX) {
      c.font = `600 11px ${SANS}`;
      c.fillStyle = paint.thread(inside.thread);
      c.fillText(shorten(run.text("thread", row), 12), this.whoX, base);
    }
    const colours = { dim: paint.dim, red: paint.bad, yellow: paint.warn, magenta: paint.wait, cyan: paint.accent };
    c.font = `${style === "red" || here ? "600 " : ""}12px ${MONO}`;
    c.fillStyle = colours[style] || paint.text;
    c.fillText(run.text("text", row), this.textX + Math.min(inside.depth, 8) * (run.partner ? 6 : 10), base);
  }

  /* The line at which two runs part. */
  parting(c, left) {
    const { app, run, paint } = this, part = app.parting;
    if (!part || part.same || part.row >= run.size) return;
    const y = this.top(run.before[part.row]);
    c.fillStyle = paint.accent;
    c.fillRect(left, y - 1, this.width, 2);
    const text = part.chosen ? `here they part: ${part.chosen[run.index]} goes on` : "here they part";
    c.font = `600 11px ${SANS}`;
    const width = c.measureText(text).width + 16;
    c.beginPath();
    c.roundRect(left + this.gutter, y - 9, width, 18, 9);
    c.fill();
    c.fillStyle = paint.sheet;
    c.fillText(text, left + this.gutter + 8, y + 4);
  }

  /* The names of the lanes, above everything. */
  heads(c, left) {
    const { run, paint, columns } = this;
    c.fillStyle = paint.sheet;
    c.fillRect(0, 0, this.width, HEAD);
    c.fillStyle = paint.line;
    c.fillRect(0, HEAD - 1, this.width, 1);
    c.save();
    c.translate(-left, 0);
    c.font = `11px ${SANS}`;
    c.fillStyle = paint.faint;
    c.textAlign = "right";
    c.fillText("step", this.gutter - 8, HEAD - 8);
    c.textAlign = "left";
    c.fillText("what happens", this.textX, HEAD - 8);
    if (this.textX > this.whoX) c.fillText("thread", this.whoX, HEAD - 8);
    const seen = new Set();
    run.lanes.forEach((lane, i) => {
      const { x, width } = columns[i];
      if (!seen.has(lane.kind)) {
        seen.add(lane.kind);
        c.font = `600 10px ${SANS}`;
        c.fillStyle = paint.faint;
        c.fillText(`${lane.kind.toUpperCase()}S`, x, 13);
      }
      const isThread = lane.kind === "thread";
      c.font = `${isThread ? "600 " : ""}11px ${SANS}`;
      c.fillStyle = isThread ? paint.thread(i) : lane.kind === "lock" ? paint.dim : paint.text;
      if (lane.kind === "actor" && c.measureText(lane.name).width < width - 6) {
        c.textAlign = "center";
        c.fillText(lane.name, x + width / 2, HEAD - 8);
        c.textAlign = "left";
        return;
      }
      c.save();
      c.translate(x + width / 2 + 4, HEAD - 8);
      c.rotate(-Math.PI / 2.6);
      c.fillText(tail(lane.name, 15), 0, 0);
      c.restore();
    });
    c.restore();
  }
}
