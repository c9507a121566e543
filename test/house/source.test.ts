/** Rules for every source file that a reader would otherwise have to check by eye. */
import { describe, expect, test } from "bun:test";
import { filesUnder, importsOf, mask, textOf } from "../support/source.ts";

/** Above this a file holds more than one idea. */
const FILE_LINES_MAX = 400;

const CODE = filesUnder(["mod.ts", "src", "transports", "test", "examples", "bench", "scripts"], [
  ".ts",
  ".mjs",
]);
const LIBRARY = filesUnder(["mod.ts", "src", "transports"], [".ts"]);
const TESTS = filesUnder(["test"], [".test.ts"]);

/** `file:line: text` of each line of `textFor(file)` that has `pattern`. */
function lines(files: readonly string[], pattern: RegExp, textFor: (source: string) => string): string[] {
  return files.flatMap((file) =>
    textFor(textOf(file)).split("\n").flatMap((line, index) =>
      pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : []
    )
  );
}
const codeOf = (source: string): string => mask(source).code;

describe("every source file", () => {
  test("has at most 400 lines", () => {
    const long = CODE.map((file) => ({ file, lines: textOf(file).split("\n").length }));
    expect(long.filter((each) => each.lines > FILE_LINES_MAX)).toEqual([]);
  });

  test("never says any", () => {
    expect(lines(CODE, /(?<![.\w$])any(?![\w$(])(?!\s*[:=](?!=))/, codeOf)).toEqual([]);
  });

  test("never silences the type checker", () => {
    expect(lines(CODE, new RegExp("@ts-(ignore|expect-error|nocheck)"), (source) => mask(source).comments))
      .toEqual([]);
  });

  test("leaves nothing to do later", () => {
    expect(lines(CODE, /\b(TODO|FIXME|XXX|HACK)\b/, (source) => mask(source).comments)).toEqual([]);
  });

  test("has no tabs, no trailing blanks and a newline at the end", () => {
    expect(lines(CODE, /\t|[ \t]+$/, (source) => source)).toEqual([]);
    expect(CODE.filter((file) => !/[^\n]\n$/.test(textOf(file)))).toEqual([]);
  });
});

describe("the library", () => {
  test("throws only its own error class", () => {
    expect(lines(LIBRARY, /\bthrow new (?!FlotillaError\b)\w+/, codeOf)).toEqual([]);
  });
});

describe("every test file", () => {
  test("takes from bun:test only what all three runtimes have", () => {
    const shared = ["afterAll", "afterEach", "beforeAll", "beforeEach", "describe", "expect", "test"];
    const wrong = TESTS.flatMap((file) => {
      const names = /import \{([^}]*)\} from "bun:test"/.exec(textOf(file))?.[1] ?? "";
      return names.split(",").map((name) => name.trim()).filter((name) =>
        name !== "" && !shared.includes(name)
      )
        .map((name) => `${file} takes ${name}`);
    });
    expect(wrong).toEqual([]);
    expect(TESTS.filter((file) => !importsOf(textOf(file)).some(({ specifier }) => specifier === "bun:test")))
      .toEqual([]);
  });

  test("skips, singles out and postpones nothing", () => {
    expect(lines(TESTS, /\b(test|describe)\.(skip|only|todo|failing)\b/, codeOf)).toEqual([]);
  });
});
