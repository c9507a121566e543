/** `node --import ./test/support/register.mjs FILE`: resolves `bun:test` to the shim. Needs Node 22.15. */
import { registerHooks } from "node:module";

const shim = new URL("./shim.mjs", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    return specifier === "bun:test" ? { url: shim, shortCircuit: true } : next(specifier, context);
  },
});
