// Compile a standard-JSON input from stdin with the solc package beside this script's node_modules.
// Usage: node compile.js NODE_MODULES < input.json > output.json
"use strict";
const path = require("path");
const fs = require("fs");
const modules = path.resolve(process.argv[2]);
const solc = require(path.join(modules, "solc"));
process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
