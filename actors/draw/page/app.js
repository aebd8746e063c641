/* The page as a whole: the cursor, the keys, the link to a step. */

class App {
  constructor(data) {
    this.paint = new Paint();
    this.parting = data.parting;
    this.runs = data.runs.map((each, index) => new Run(each, index, data.parting && !data.parting.same ? data.parting.row : -1));
    if (this.runs.length > 1) this.runs.forEach((run, i) => { run.partner = this.runs[1 - i]; });
    this.run = this.runs[0];
    this.find = new Find(this);
    this.lanes = this.runs.map((run) => new Lanes(run, this.paint, this));
    document.getElementById("panes").append(...this.lanes.map((each) => each.root));
    this.panel = new Panel(this);
    this.tipBox = document.getElementById("tip");
    this.level = document.getElementById("level");
    this.level.value = "1";
    this.titles();
    this.listen();
    for (const run of this.runs) run.seek(0);
    this.panel.use(this.run);
    this.layout();
    if (!this.follow()) this.go(this.start());
    this.focus();
  }

  /* Where to begin: at the first grave violation, or the first step. */
  start() {
    const grave = this.run.problems.filter((problem) => problem.grave).at(-1);
    return grave ? grave.row : 0;
  }

  focus() { this.lanes[this.run.index].scroll.focus({ preventScroll: true }); }

  // -- the frame ------------------------------------------------------------------------------

  titles() {
    const [run] = this.runs, set = (id, text) => { document.getElementById(id).textContent = text; };
    set("name", run.data.name);
    set("kernel", `on ${run.data.kernel}`);
    const verdict = document.getElementById("verdict"), { end } = run.data;
    const grave = run.problems.filter((problem) => problem.grave).length, ok = end.verdict === "ok";
    verdict.textContent = ok && grave ? `ended, ${count.format(grave)} broken` : end.invariant ? `${end.invariant} broken` : end.verdict;
    verdict.className = `badge ${ok && !grave ? "good" : "bad"}`;
    verdict.title = end.message || "";
    this.lanes.forEach((each, i) => {
      if (this.runs.length < 2) { each.title.remove(); return; }
      const { name, kernel, end: came } = this.runs[i].data;
      each.title.append(el("span", "", `${i + 1}  ${name} on ${kernel}: ${came.invariant || came.verdict}`));
      each.title.addEventListener("click", () => this.turn(i));
    });
    this.chips();
  }

  /* What went wrong, and where two runs part, as buttons. */
  chips() {
    const root = document.getElementById("problems");
    const chip = (text, title, className, go) => {
      const button = el("button", className, text);
      button.type = "button";
      button.title = title;
      button.addEventListener("click", go);
      root.append(button);
    };
    if (this.parting) {
      const { same, chosen, row, unlike } = this.parting;
      if (unlike) chip("two programs", unlike, "warn", () => {});
      const step = this.run.step(Math.min(row, this.run.size - 1));
      if (same) chip("the runs are the same", "", "part", () => {});
      else chip(chosen ? `parted at ${step}: ${chosen.join(" | ")}` : `parted at ${step}`, "where the runs part (d)", "part", () => this.toParting());
    }
    for (const problem of this.run.problems.slice(0, 12)) {
      chip(`${problem.title} at ${this.run.step(problem.row)}`, problem.message, problem.grave ? "" : "warn", () => this.go(problem.row, 0));
    }
    const more = this.run.problems.length - 12;
    if (more > 0) chip(`${count.format(more)} more`, "n goes to the next", "", () => this.toProblem(1));
  }

  layout() {
    for (const each of this.lanes) each.layout();
    this.draw();
  }

  /* Draw once before the next picture, however often it is asked for. */
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      for (const each of this.lanes) each.draw();
    });
  }

  redrawMaps() {
    for (const each of this.lanes) each.map.stale = true;
    this.draw();
  }

  scrolled(lanes) {
    for (const each of this.lanes) if (each !== lanes && each.scroll.scrollTop !== lanes.scroll.scrollTop) each.scroll.scrollTop = lanes.scroll.scrollTop;
  }

  tip(text, x = 0, y = 0) {
    this.tipBox.hidden = !text;
    if (!text) return;
    this.tipBox.textContent = text;
    this.tipBox.style.left = `${Math.min(x + 14, innerWidth - 300)}px`;
    this.tipBox.style.top = `${Math.min(y + 16, innerHeight - 40)}px`;
  }

  // -- the cursor -----------------------------------------------------------------------------

  /* Put the cursor on a row, of the run given or of the active one. */
  go(row, index = this.run.index) {
    if (index !== this.run.index) this.turn(index);
    const { run } = this;
    row = clamp(row, 0, run.size - 1);
    if (!run.shown(row)) this.filter(run.data.level[row]);
    for (const each of this.runs) each.seek(Math.min(row, each.size - 1));
    this.lanes[run.index].reveal(row);
    this.panel.show();
    this.find.say();
    this.draw();
    this.linkSoon();
  }

  goStep(step) { this.go(this.run.rowOf(step)); }

  /* So many shown rows on, or back. */
  move(rows) {
    const { run } = this, at = run.before[run.at], on = run.shown(run.at) || rows <= 0 ? at + rows : at + rows - 1;
    this.go(run.rows[clamp(on, 0, run.rows.length - 1)]);
  }

  moveInThread(step) {
    const { run } = this, thread = run.data.thread[run.at];
    for (let p = run.before[run.at] + step; p >= 0 && p < run.rows.length; p += step) {
      if (run.data.thread[run.rows[p]] === thread) { this.go(run.rows[p]); return; }
    }
  }

  toProblem(step) {
    const { run } = this, rows = [...new Set(run.problems.map((problem) => problem.row))].sort((a, b) => a - b);
    const on = step > 0 ? rows.find((row) => row > run.at) : rows.findLast((row) => row < run.at);
    if (on !== undefined) this.go(on); else if (rows.length) this.go(rows.at(step > 0 ? -1 : 0));
  }

  /* From a violation to its first racing access, to the second, and back. */
  toRacing() {
    const { run } = this, { problems } = run;
    const here = problems.find((each) => each.racing.length && (each.row === run.at || each.racing.includes(run.at)));
    const problem = here || problems.find((each) => each.racing.length && each.row >= run.at) || problems.find((each) => each.racing.length);
    if (!problem) return;
    const stops = [...new Set([...problem.racing, problem.row])];
    this.go(stops[(stops.indexOf(run.at) + 1) % stops.length]);
  }

  toParting() { if (this.parting && !this.parting.same) this.go(this.parting.row); }

  /* Turn to the other run. */
  turn(index) {
    if (!this.runs[index] || this.run === this.runs[index]) return;
    this.run = this.runs[index];
    this.panel.use(this.run);
    this.panel.show();
    this.active();
    this.find.say();
    this.focus();
    this.draw();
    this.linkSoon();
  }

  active() { this.lanes.forEach((each, i) => each.root.classList.toggle("active", i === this.run.index)); }

  filter(level) {
    this.level.value = String(level);
    for (const run of this.runs) run.show(level);
    for (const each of this.lanes) each.resize();
    if (this.run.at >= 0) this.lanes[this.run.index].reveal(this.run.at);
    this.draw();
  }

  // -- the link -------------------------------------------------------------------------------

  /* Once the cursor rests: a browser lets an address change only so often. */
  linkSoon() {
    clearTimeout(this.linking);
    this.linking = setTimeout(() => this.link(), 250);
  }

  link() {
    const run = this.runs.length > 1 ? `&run=${this.run.index + 1}` : "";
    try { history.replaceState(null, "", `#step=${this.run.step(this.run.at)}${run}`); } catch { /* a browser may limit how often */ }
  }

  /* Go where the link points; whether it points anywhere. */
  follow() {
    const step = /[#&]step=(\d+)/.exec(location.hash), run = /[#&]run=([12])/.exec(location.hash);
    if (run) this.turn(Number(run[1]) - 1);
    if (step) this.goStep(Number(step[1]));
    return Boolean(step);
  }

  // -- what the user does ---------------------------------------------------------------------

  listen() {
    const on = (id, kind, act) => document.getElementById(id).addEventListener(kind, act);
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.follow());
    addEventListener("resize", () => this.layout());
    this.paint.system.addEventListener("change", () => this.recolour());
    on("level", "change", () => { this.filter(Number(this.level.value)); this.focus(); });
    on("theme", "click", () => { this.paint.turn(); this.recolour(); });
    on("help", "click", () => this.help());
    const steps = {
      first: () => this.go(0), last: () => this.go(this.run.size - 1), back: () => this.move(-1), on: () => this.move(1),
      "problem-back": () => this.toProblem(-1), "problem-on": () => this.toProblem(1),
    };
    for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", steps[button.dataset.go]);
    this.splitting();
    this.active();
  }

  splitting() {
    const split = document.getElementById("split"), panel = document.getElementById("panel");
    split.addEventListener("pointerdown", (event) => split.setPointerCapture(event.pointerId));
    split.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      panel.style.width = `${clamp(innerWidth - event.clientX, 240, innerWidth - 400)}px`;
      this.layout();
    });
  }

  recolour() {
    this.paint.read();
    this.panel.use(this.run);
    this.panel.show();
    this.redrawMaps();
  }

  help() {
    const keys = document.getElementById("keys");
    if (keys.open) keys.close(); else keys.showModal();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("keys").open) return;
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    const page = this.lanes[this.run.index].perPage, step = (by) => (event.shiftKey ? this.moveInThread(by) : this.move(by));
    const acts = {
      ArrowLeft: () => step(-1), ArrowUp: () => step(-1), ArrowRight: () => step(1), ArrowDown: () => step(1),
      PageUp: () => this.move(-page), PageDown: () => this.move(page), Home: () => this.go(0), End: () => this.go(this.run.size - 1),
      n: () => this.toProblem(1), p: () => this.toProblem(-1), r: () => this.toRacing(), "/": () => this.find.input.select(),
      "[": () => this.find.next(-1), "]": () => this.find.next(1), f: () => this.filter((Number(this.level.value) + 1) % 3),
      c: () => this.turn(1 - this.run.index), d: () => this.toParting(), t: () => { this.paint.turn(); this.recolour(); }, "?": () => this.help(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

new App(JSON.parse(document.getElementById("data").textContent));
