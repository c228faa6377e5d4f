// Marks of a person: picked clusters and verdicts, kept in the browser, and saved as CSV.

// Format the content of targets.csv. `cell` is the escaped name, see format_cell in csv_text.py;
// no other cell can begin with a sign that a spreadsheet evaluates.
function formatTargets(rows) {
  const quote = cell => /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const lines = rows.map(({cell, picks, verdict}) => {
    const target = picks && picks.length ? `label:${picks.join(',')}` : '';
    return [cell, target, verdict || ''].map(quote).join(',');
  });
  return ['image,target,verdict', ...lines].join('\n') + '\n';
}

// Return a valid mark: picks are label numbers or null for the tool's target.
function checkMark(mark) {
  const {picks = null, verdict = ''} = mark && typeof mark === 'object' ? mark : {};
  const isList = Array.isArray(picks) && picks.every(n => Number.isInteger(n) && n >= 0);
  return {
    picks: isList ? [...new Set(picks)].sort((a, b) => a - b) : null,
    verdict: ['good', 'bad'].includes(verdict) ? verdict : '',
  };
}

// Keep the marks of one run. `find` returns the browser's storage, and throws where it is denied.
class Marks {
  constructor(run, find) {
    this.name = `s3net-review-${run}`;
    this.find = find;
    this.isKept = true;
    this.all = {};
    this.load();
  }

  // Another tab may show the same page, so every change begins with what is stored.
  load() {
    try {
      const text = this.find().getItem(this.name);
      const stored = text === null ? null : JSON.parse(text);
      if (stored && typeof stored === 'object') this.all = stored;
      else if (text === null && this.isKept) this.all = {};
    } catch (error) {
      if (!(error instanceof SyntaxError)) this.isKept = false;
    }
  }

  get(key) {
    return checkMark(Object.hasOwn(this.all, key) ? this.all[key] : null);
  }

  set(key, change) {
    if (this.isKept) this.load();
    const mark = checkMark({...this.get(key), ...change});
    if (mark.picks || mark.verdict) this.all[key] = mark;
    else delete this.all[key];
    this.store();
  }

  forget(keys) {
    for (const key of keys) delete this.all[key];
    this.store();
  }

  store() {
    try {
      this.find().setItem(this.name, JSON.stringify(this.all));
    } catch {
      this.isKept = false;
    }
  }
}
