// Two transcripts line by line: "ok NAME", or "not ok NAME" with both outcomes.
import { readFileSync } from "node:fs";
import process from "node:process";

const [ours, theirs] = process.argv.slice(2).map((file) => {
  const lines = readFileSync(file!, "utf8").trim().split("\n");
  return new Map(lines.map((line) => [JSON.parse(line).name as string, line]));
});
let failed = 0;
for (const name of new Set([...ours!.keys(), ...theirs!.keys()])) {
  const [here, there] = [ours!.get(name), theirs!.get(name)];
  if (here === there) console.log(`ok ${name}`);
  else {
    failed++;
    console.log(`not ok ${name} here ${here}, Kafka ${there}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
