// Makes a component of a JavaScript module: build.mjs MODULE WIT WORLD OUTPUT. Every WASI feature is switched
// off, so that nothing is imported but the policy's own package.
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
const disableFeatures = ['stdio', 'random', 'clocks', 'http', 'fetch-event'];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(output, component);
