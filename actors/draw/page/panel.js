/* Beside the lanes: the step where the cursor stands, what it changed, and the state after it. */

const SECTIONS = ["Machine", "Address spaces", "Regions", "Containers", "TCE windows", "Groups", "CPUs", "Locks", "Threads", "Files", "Others"];
const MOST_CARDS = 24, MOST_ENTRIES = 12;
const natural = new Intl.Collator("en", { numeric: true }).compare;

class Panel {
  constructor(app) {
    this.app = app;
    this.paint = app.paint;
    for (const id of ["event", "changed", "state", "step", "of"]) this[id] = document.getElementById(id);
    this.open = new Set();
    this.cards = new Map();
  }

  /* Turn to a run: the objects that it knows, by heading. */
  use(run) {
    this.run = run;
    this.state.replaceChildren();
    this.cards.clear();
    const objects = new Map();
    run.keys.forEach(({ object, section, part }, key) => {
      if (!objects.has(object)) objects.set(object, { name: object, section, keys: [], life: -1, about: -1 });
      const known = objects.get(object);
      if (part === "life" || part === "about") known[part] = key; else known.keys.push(key);
    });
    this.objects = [...objects.values()].sort((a, b) => natural(a.name, b.name));
    for (const each of this.objects) each.keys.sort((a, b) => natural(run.keys[a].part, run.keys[b].part));
    this.sections = SECTIONS.map((title) => {
      const members = this.objects.filter((each) => each.section === title);
      const root = el("div"), list = el("div"), more = el("button", "more");
      more.type = "button";
      more.addEventListener("click", () => { this.open.add(title); this.show(); });
      root.append(el("h3", "", title), list, more);
      if (members.length) this.state.append(root);
      return { title, members, root, list, more, shown: "" };
    });
    this.touched = [];
  }

  show() {
    const { run } = this, changes = run.changes(run.at);
    this.step.textContent = `step ${run.step(run.at)}`;
    this.of.textContent = ` of ${count.format(run.step(run.size - 1))}`;
    this.showEvent();
    this.showChanges(changes);
    this.showState(changes);
  }

  link(row, text = `#${this.run.step(row)}`) {
    const link = el("a", "row", text);
    link.href = `#step=${this.run.step(row)}`;
    link.addEventListener("click", (event) => { event.preventDefault(); this.app.go(row); });
    return link;
  }

  threadChip(name) {
    const chip = el("span", "thread", name), lane = this.run.threads.get(name);
    if (lane !== undefined) chip.style.color = this.paint.thread(lane);
    return chip;
  }

  showEvent() {
    const { run } = this, row = run.at, where = el("div", "where"), [fn, op] = [run.text("function", row), run.text("operation", row)];
    where.append(this.threadChip(run.text("thread", row)));
    if (run.text("actor", row)) where.append(" in ", el("b", "", run.text("actor", row)));
    if (fn) where.append(", ", el("b", "", fn.includes(" ") ? fn : `${fn}()`));
    const parts = [where, el("div", `what ${run.text("style", row)}`, run.text("text", row))];
    if (op) parts.push(el("div", "where", `for ${op}`));
    const chain = this.chain(row);
    if (chain) parts.push(chain);
    for (const problem of run.problems) {
      const says = problem.accesses.length || problem.racing.length || !run.text("text", row).includes(problem.message);
      if (says && (problem.row === row || problem.racing.includes(row))) parts.push(this.trouble(problem, row));
    }
    this.event.replaceChildren(...parts);
  }

  /* What led here, outermost first. */
  chain(row) {
    const { run } = this, rows = [];
    for (let at = run.data.cause[row]; at >= 0 && rows.length < 24; at = run.data.cause[at]) rows.unshift(at);
    if (!rows.length) return null;
    const root = el("div", "chain", "led to by ");
    rows.forEach((each, i) => {
      const child = run.opened.get(each), name = run.text("event", each) === "request" && child ? child.label : run.text("event", each);
      root.append(i ? " ▸ " : "", this.link(each, `#${run.step(each)}`), ` ${name}`);
    });
    return root;
  }

  trouble(problem, row) {
    const root = el("div", `trouble${problem.grave ? "" : " warn"}`);
    const title = el("p");
    title.append(el("b", "", problem.title), problem.row === row ? "" : " at ", problem.row === row ? "" : this.link(problem.row));
    root.append(title);
    if (problem.row !== row || !this.run.text("text", row).includes(problem.message)) root.append(el("p", "", problem.message));
    for (const access of problem.accesses) root.append(el("p", "access", access));
    if (problem.racing.length === 2) {
      const line = el("p", "", "racing: ");
      problem.racing.forEach((each, i) => {
        line.append(i ? " against " : "", this.threadChip(this.run.text("thread", each)), " at ", this.link(each));
      });
      root.append(line);
    }
    return root;
  }

  showChanges(changes) {
    const list = el("ul");
    for (const [key, [old, now]] of changes) {
      const { object, part, section } = this.run.keys[key];
      if (section === "Threads" || part === "life" || part === "about") continue;
      const item = el("li", "", `${object}${part.startsWith("[") ? "" : " "}${part}  `);
      item.append(el("s", "", brief(old)), " → ", el("span", "new", brief(now)));
      list.append(item);
    }
    this.changed.replaceChildren(...(list.children.length ? [el("h3", "", "changed here"), list] : []));
  }

  showState(changes) {
    const { run } = this, touched = new Set();
    for (const key of changes.keys()) touched.add(run.keys[key].object);
    for (const section of this.sections) {
      const there = section.members.filter((each) => this.exists(each, section.title));
      there.sort((a, b) => this.gone(a) - this.gone(b));
      const most = this.open.has(section.title) ? there.length : MOST_CARDS;
      const shown = there.filter((each, i) => i < most || touched.has(each.name));
      const names = shown.map((each) => each.name).join("\n");
      if (names !== section.shown) {
        section.list.replaceChildren(...shown.map((each) => this.card(each).root));
        section.shown = names;
      }
      section.root.hidden = !there.length;
      section.more.hidden = shown.length === there.length;
      section.more.textContent = `${count.format(there.length - shown.length)} more`;
      for (const each of shown) this.fill(each, changes, touched.has(each.name));
    }
  }

  gone(object) { return object.life >= 0 && this.run.value(object.life) !== null ? 1 : 0; }

  exists(object, section) {
    const { run } = this;
    if (section === "Threads" && this.gone(object)) return false;
    return object.keys.some((key) => run.value(key) !== null) || (object.life >= 0 && section !== "Locks" && this.gone(object) === 1);
  }

  card(object) {
    if (!this.cards.has(object.name)) {
      const root = el("div", "card"), title = el("h4"), tag = el("span", "tag"), life = el("span", "tag life"), list = el("dl");
      const name = el("span", "", object.name), lane = this.run.threads.get(object.name);
      if (lane !== undefined) name.style.color = this.paint.thread(lane);
      title.append(name, tag, life);
      root.append(title, list);
      this.cards.set(object.name, { root, tag, life, list, mark: "" });
    }
    return this.cards.get(object.name);
  }

  /* Write a card, unless it says already what it should. */
  fill(object, changes, touched) {
    const { run } = this, card = this.card(object), other = run.partner;
    const mark = `${touched}:${object.keys.map((key) => run.current[key]).join()}:${object.about >= 0 ? run.current[object.about] : ""}:${this.gone(object)}:${other ? other.at : ""}:${touched ? run.at : ""}`;
    if (card.mark === mark) return;
    card.mark = mark;
    card.root.className = `card${touched ? " touched" : ""}${this.gone(object) ? " gone" : ""}`;
    card.tag.textContent = object.about >= 0 ? run.value(object.about) || "" : "";
    card.life.textContent = object.life >= 0 ? run.value(object.life) || "" : "";
    const rows = [], entries = object.keys.filter((key) => run.keys[key].part.startsWith("[") && run.value(key) !== null);
    for (const key of object.keys) {
      if (run.value(key) === null && !changes.has(key)) continue;
      if (run.keys[key].part.startsWith("[") && entries.indexOf(key) >= MOST_ENTRIES && !changes.has(key)) continue;
      rows.push(...this.row(key, changes.get(key)));
    }
    if (entries.length > MOST_ENTRIES) rows.push(el("dt", "more", "…"), el("dd", "more", `${entries.length - MOST_ENTRIES} more entries`));
    card.list.replaceChildren(...rows);
  }

  /* A part and its value; a click goes to where it was changed last, with Shift to where it is next. */
  row(key, change) {
    const { run } = this, name = el("dt", "", run.keys[key].part), value = el("dd", change ? "now" : "");
    name.title = "click: where it was changed last; with Shift: where it is changed next";
    name.addEventListener("click", (event) => {
      const row = run.changeOf(key, run.at, event.shiftKey ? 1 : -1);
      if (row >= 0) this.app.go(row);
    });
    if (change && change[0] !== null) value.append(el("s", "", brief(change[0])), " → ");
    value.append(...written(run.value(key)));
    const theirs = this.theirs(key);
    if (theirs !== undefined && brief(theirs) !== brief(run.value(key))) value.append(el("span", "other", `other run: ${brief(theirs)}`));
    return [name, value];
  }

  /* The value of the same part in the other run; undefined when there is none. */
  theirs(key) {
    const other = this.run.partner;
    if (!other) return undefined;
    other.index_of = other.index_of || new Map(other.keys.map((each, i) => [`${each.object}\n${each.part}`, i]));
    const { object, part } = this.run.keys[key], found = other.index_of.get(`${object}\n${part}`);
    return found === undefined ? undefined : other.value(found);
  }
}

/* A value in one line. */
const brief = (value) => {
  if (value === null) return "–";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "empty";
  return typeof value === "object" ? String(total(value)) : value;
};
const total = (holders) => Object.values(holders).reduce((sum, n) => sum + n, 0);

/* A value as nodes: a reference count with its holders, a list with its elements. */
const written = (value) => {
  if (value === null || typeof value === "string") return [brief(value)];
  if (Array.isArray(value)) {
    const nodes = value.slice(0, MOST_ENTRIES).map((each) => el("span", "chip", each));
    return nodes.length ? (value.length > MOST_ENTRIES ? [...nodes, `… ${count.format(value.length - MOST_ENTRIES)} more`] : nodes) : [el("span", "more", "empty")];
  }
  const chips = Object.entries(value).map(([who, n]) => el("span", "chip", n === 1 ? who : `${who} ×${n}`));
  return [el("b", "", `${total(value)} `), ...chips];
};
