/**
 * The SDK client as one module for browsers; runs on Bun, whose bundler it takes. The argument
 * names the file to write. `npm:` stands in the sources for runtimes without node_modules; here it
 * names the same package once more.
 */
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const npmSpecifiers = {
  name: "npm specifiers",
  setup(build) {
    build.onResolve({ filter: /^npm:/ }, ({ path, importer }) => ({
      path: globalThis.Bun.resolveSync(
        path.replace(/^npm:((?:@[^/]+\/)?[^@/]+).*$/, "$1"),
        dirname(importer),
      ),
    }));
  },
};

const built = await globalThis.Bun.build({
  entrypoints: [join(root, "src/client/mod.ts")],
  target: "browser",
  minify: true,
  plugins: [npmSpecifiers],
});
await globalThis.Bun.write(process.argv[2], built.outputs[0]);
