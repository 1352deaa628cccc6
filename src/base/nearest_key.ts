// "Did you mean": the known name that is fewest edits away.

/** The nearest of `names` within a third of the length of `name` (at least 1 edit), or null. */
export function nearestKey(name: string, names: Iterable<string>): string | null {
  let nearest: string | null = null;
  let fewest = Math.max(1, Math.floor(name.length / 3)) + 1;
  const wanted = name.toLowerCase();
  for (const each of names) {
    const count = edits(wanted, each.toLowerCase());
    if (count < fewest) {
      fewest = count;
      nearest = each;
    }
  }
  return nearest;
}

/** `: did you mean "NAME"`, or nothing. */
export function hint(name: string, names: Iterable<string>): string {
  const nearest = nearestKey(name, names);
  return nearest === null ? "" : `: did you mean "${nearest}"`;
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
