// Compile one standard-JSON document per line from stdin, one line of output for each.
// Usage: node solc_worker.js NODE_MODULES
"use strict";
const path = require("path");
const readline = require("readline");
const solc = require(path.join(path.resolve(process.argv[2]), "solc"));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(JSON.parse(solc.compile(line))) + "\n");
});
