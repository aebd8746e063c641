/* A run: its columns, and the state at the step where the cursor stands. */

const el = (tag, className = "", text = "") => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== "") node.textContent = text;
  return node;
};
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const count = new Intl.NumberFormat("en");

class Slice {
  constructor([lane, slot, first, last, thread, label, parent], texts) {
    Object.assign(this, { lane, slot, first, last, thread, label: texts[label], parent, depth: 0 });
  }
}

class Run {
  constructor(data, index, keep = -1) {
    const texts = (this.texts = data.texts);
    this.data = data;
    this.index = index;
    this.keep = keep; /* a row that is always shown */
    this.size = data.step.length;
    this.lanes = data.lanes.map(([name, kind, slots]) => ({ name: texts[name], kind, slots }));
    this.threads = new Map(this.lanes.filter((l) => l.kind === "thread").map((lane, i) => [lane.name, i]));
    this.slices = data.slices.map((each) => new Slice(each, texts));
    for (const each of this.slices) each.depth = each.parent < 0 ? 0 : this.slices[each.parent].depth + 1;
    this.holds = data.holds.map((each) => new Slice(each, texts));
    this.waits = data.waits.map((each) => new Slice(each, texts));
    this.opened = new Map(this.slices.map((each) => [each.first, each]));
    this.arrows = new Map(data.arrows.map(([row, from, to]) => [row, [from, to]]));
    this.problems = data.problems;
    this.problemAt = new Map(data.problems.map((problem) => [problem.row, problem]));
    this.racing = new Set(data.problems.flatMap((problem) => problem.racing));
    this.keys = data.keys.map(([name, part, section]) => ({ object: texts[name], part: texts[part], section }));
    this.current = new Int32Array(this.keys.length);
    this.at = -1;
    this.show(1);
  }

  text(column, row) { return this.texts[this.data[column][row]]; }
  step(row) { return this.data.step[row]; }
  slice(row) { return this.slices[this.data.at[row]]; }
  value(key) { return this.data.values[this.current[key]]; }

  /* The row of a step, or of the first one after it. */
  rowOf(step) {
    let low = 0, high = this.size - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.data.step[middle] < step) low = middle + 1; else high = middle;
    }
    return low;
  }

  /* Show only the rows that matter at least so much. */
  show(level) {
    this.level = level;
    const rows = [];
    this.before = new Int32Array(this.size + 1); /* row -> how many shown rows stand before it */
    for (let row = 0; row < this.size; row++) {
      this.before[row] = rows.length;
      if (this.data.level[row] >= level || this.problemAt.has(row) || this.racing.has(row) || row === this.keep) rows.push(row);
    }
    this.before[this.size] = rows.length;
    this.rows = rows.length ? rows : [0];
  }

  shown(row) { return this.before[row + 1] > this.before[row]; }
  position(row) { return Math.min(this.before[row], this.rows.length - 1); }

  /* Go to a row; the keys that are not as they were. */
  seek(row) {
    const touched = new Set();
    while (this.at < row) {
      const patch = this.data.patches[++this.at];
      for (let i = 0; i < patch.length; i += 3) { this.current[patch[i]] = patch[i + 2]; touched.add(patch[i]); }
    }
    while (this.at > row) {
      const patch = this.data.patches[this.at--];
      for (let i = patch.length - 3; i >= 0; i -= 3) { this.current[patch[i]] = patch[i + 1]; touched.add(patch[i]); }
    }
    return touched;
  }

  /* What the row itself changed: key -> [old, new]. */
  changes(row) {
    const patch = this.data.patches[row], found = new Map();
    for (let i = 0; i < patch.length; i += 3) {
      const old = found.has(patch[i]) ? found.get(patch[i])[0] : this.data.values[patch[i + 1]];
      found.set(patch[i], [old, this.data.values[patch[i + 2]]]);
    }
    return found;
  }

  /* The nearest row before or after which changes a key; -1 for none. */
  changeOf(key, from, step) {
    for (let row = from + step; row >= 0 && row < this.size; row += step) {
      const patch = this.data.patches[row];
      for (let i = 0; i < patch.length; i += 3) if (patch[i] === key) return row;
    }
    return -1;
  }
}
