// The difference of two texts by words: pairs of a kind ("same", "added", "removed") and a text.
const MOST_WORDS = 1500;

export function wordDiff(a, b) {
  const left = a.match(/\s+|\S+/g) ?? [];
  const right = b.match(/\s+|\S+/g) ?? [];
  let from = 0;
  while (from < left.length && from < right.length && left[from] === right[from]) from += 1;
  let end = 0;
  while (end < left.length - from && end < right.length - from && left[left.length - 1 - end] === right[right.length - 1 - end]) end += 1;
  const middle = diffMiddle(left.slice(from, left.length - end), right.slice(from, right.length - end));
  return joined([["same", left.slice(0, from).join("")], ...middle, ["same", left.slice(left.length - end).join("")]]);
}

// The longest common subsequence costs words times words, so larger texts are one change as a whole.
function diffMiddle(left, right) {
  if (left.length > MOST_WORDS || right.length > MOST_WORDS) return [["removed", left.join("")], ["added", right.join("")]];
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = left[i] === right[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const parts = [];
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      parts.push(["same", left[i]]);
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      parts.push(["removed", left[i]]);
      i += 1;
    } else {
      parts.push(["added", right[j]]);
      j += 1;
    }
  }
  return parts;
}

function joined(parts) {
  const all = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    const before = all[all.length - 1];
    if (before?.[0] === kind) before[1] += text;
    else all.push([kind, text]);
  }
  return all;
}
