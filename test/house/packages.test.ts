/** Versions of packages are written in several places, because each runtime reads another one. They must agree. */
import { describe, expect, test } from "bun:test";
import { filesUnder, textOf } from "../support/source.ts";

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(textOf("package.json")) as Manifest;
const { imports } = JSON.parse(textOf("deno.json")) as { imports: Readonly<Record<string, string>> };
const versions = new Map(Object.entries({ ...manifest.devDependencies, ...manifest.dependencies }));

describe("packages", () => {
  test("have exact versions", () => {
    expect([...versions].filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  test("that the library needs stand in deno.json too", () => {
    expect(Object.keys(manifest.dependencies).filter((name) => imports[name] === undefined)).toEqual([]);
  });

  test("have the same version in deno.json", () => {
    const mapped = Object.entries(imports).filter(([, target]) => target.startsWith("npm:"));
    const wanted = (name: string): string => {
      // With a slash at the end: what stands for all paths in a package.
      const inside = name.endsWith("/") ? name.slice(0, -1) : undefined;
      return inside === undefined
        ? `npm:${name}@${versions.get(name)}`
        : `npm:/${inside}@${versions.get(inside)}/`;
    };
    expect(mapped.filter(([name, target]) => target !== wanted(name))).toEqual([]);
  });

  test("have the same version in the doors", () => {
    const wrong: string[] = [];
    for (const file of filesUnder(["mod.ts", "src", "transports"], [".ts"])) {
      for (
        const [, name = "", version] of textOf(file).matchAll(/"npm:((?:@[\w.-]+\/)?[\w.-]+)(?:@([^"/]+))?/g)
      ) {
        // Only named so that Deno's resolver reuses it; package.json pins it under `overrides`.
        if (name === "cbor-extract") continue;
        if (versions.get(name) !== version) {
          wrong.push(`${file}: ${name}@${version}, not ${versions.get(name)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
