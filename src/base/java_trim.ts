// Text without blanks at its ends, as Java counts them: everything up to the space, control characters too, and no other
// white space of Unicode. Kafka: String.trim, wherever a broker asks whether a name is empty.

const SPACE = 0x20;

export function javaTrim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) <= SPACE) start++;
  while (end > start && text.charCodeAt(end - 1) <= SPACE) end--;
  return text.slice(start, end);
}
