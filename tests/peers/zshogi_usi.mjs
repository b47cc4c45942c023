// zshogi (npm), a library that answers one USI line at a time, as a USI engine on a pipe.
// NODE_PATH says in which node_modules it lies.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Engine } = createRequire(import.meta.url)("zshogi");
const engine = await Engine.init();
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "quit") break;
  const answer = engine.run(line).trimEnd();
  if (answer) process.stdout.write(answer + "\n");
}
