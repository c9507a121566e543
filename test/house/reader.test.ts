/** The house tests are only as good as their reader of source text. */
import { describe, expect, test } from "bun:test";
import { importsOf, mask } from "../support/source.ts";

describe("the reader of source text", () => {
  test("blanks strings and comments and keeps the rest in place", () => {
    const source = 'let a = "any"; // any\n/* any\n any */ let b = `any ${c + "x"} any`; d = /any"/.test(e);';
    const { code, comments } = mask(source);
    expect(code.length).toBe(source.length);
    expect(code).not.toContain("any");
    expect(code).toContain('${c + " "}');
    expect(code).toContain(".test(e);");
    expect(comments).toContain("// any");
    expect(code.split("\n").length).toBe(source.split("\n").length);
  });

  test("takes a slash after a value for a division", () => {
    expect(mask("a = b / any / 2;").code).toContain("any");
    expect(mask("return /any/;").code).not.toContain("any");
  });

  test("follows templates in templates", () => {
    const { code } = mask("x = `any ${{ a: `any ${b}` }.a} any`; any;");
    expect(code.match(/any/g)).toEqual(["any"]);
    expect(code).toContain("${b}");
  });

  test("tells static, type and dynamic imports apart", () => {
    const source = [
      'import { a, type B } from "./a.ts";',
      'import type { C } from "./b.ts";',
      'import type from "./c.ts";',
      'import "./d.ts";',
      'export type { E } from "./e.ts";',
      'export * from "./f.ts";',
      'type G = typeof import("./g.ts");',
      'const h = await import("./h.ts");',
      'const text = \'import "./i.ts"\'; // import "./j.ts";',
      "import {",
      "  k,",
      '} from "./k.ts";',
    ].join("\n");
    expect(importsOf(source).map(({ specifier, kind }) => `${kind} ${specifier}`)).toEqual([
      "static ./a.ts",
      "type ./b.ts",
      "static ./c.ts",
      "static ./d.ts",
      "type ./e.ts",
      "static ./f.ts",
      "type ./g.ts",
      "dynamic ./h.ts",
      "static ./k.ts",
    ]);
  });
});
