/** Reads the repository's own source for the house tests: which files there are, what they import, what they say. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

const root = new URL("../../", import.meta.url);

/** The text of a file, by its path from the root. */
export function textOf(path: string): string {
  return readFileSync(new URL(path, root), "utf8");
}

export function exists(path: string): boolean {
  return existsSync(new URL(path, root));
}

/** Files under `places` (folders or files, absent ones give nothing) ending in one of `endings`, sorted. */
export function filesUnder(places: readonly string[], endings: readonly string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(new URL(`${folder}/`, root), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(path);
    }
  };
  for (const place of places) {
    if (!exists(place)) continue;
    if (endings.some((ending) => place.endsWith(ending))) found.push(place);
    else walk(place);
  }
  return found.sort();
}

export interface Masked {
  /** Same length and lines as the source; the contents of strings and all comments are blanks. */
  readonly code: string;
  /** The comments alone, joined by newlines. */
  readonly comments: string;
}

/** Keeps code and blanks the rest, so that a pattern cannot meet words inside a string or a comment. */
export function mask(source: string): Masked {
  const code = source.split("");
  const comments: string[] = [];
  const blank = (from: number, to: number): void => {
    for (let index = from; index < to && index < code.length; index++) {
      if (code[index] !== "\n") code[index] = " ";
    }
  };
  /** Depths of `{` inside each open `${`. */
  const templates: number[] = [];
  /** The last code before `at`; decides whether a slash begins a regular expression. */
  let before = "";
  let at = 0;
  const templateText = (): void => {
    const from = at;
    while (at < source.length && source[at] !== "`" && !source.startsWith("${", at)) {
      at += source[at] === "\\" ? 2 : 1;
    }
    blank(from, at);
    if (source[at] === "`") at++;
    else {
      templates.push(0);
      at += 2;
    }
  };
  while (at < source.length) {
    const char = source.charAt(at);
    if (source.startsWith("//", at) || source.startsWith("/*", at)) {
      const closing = source.startsWith("//", at) ? source.indexOf("\n", at) : source.indexOf("*/", at) + 2;
      const end = closing < at + 2 ? source.length : closing;
      comments.push(source.slice(at, end));
      blank(at, end);
      at = end;
      continue;
    }
    if (char === '"' || char === "'") {
      const from = ++at;
      while (at < source.length && source[at] !== char && source[at] !== "\n") {
        at += source[at] === "\\" ? 2 : 1;
      }
      blank(from, at++);
    } else if (char === "`") {
      at++;
      templateText();
    } else if (
      char === "/" && /(^|[(,=:[!&|?{};+\-*%~^<>]|\b(return|typeof|case|in|of|void))$/.test(before.trimEnd())
    ) {
      const from = ++at;
      for (let inClass = false; at < source.length && source[at] !== "\n"; at++) {
        if (source[at] === "\\") at++;
        else if (source[at] === "[") inClass = true;
        else if (source[at] === "]") inClass = false;
        else if (source[at] === "/" && !inClass) break;
      }
      blank(from, at++);
    } else {
      const depth = templates.at(-1);
      if (char === "{" && depth !== undefined) templates[templates.length - 1] = depth + 1;
      if (char === "}" && depth !== undefined) {
        if (depth === 0) {
          templates.pop();
          at++;
          templateText();
          before = "x";
          continue;
        }
        templates[templates.length - 1] = depth - 1;
      }
      at++;
    }
    if (/\s/.test(char)) before = `${before.trimEnd()} `;
    else before = `${before}${/["'`/]/.test(char) ? "x" : char}`.slice(-12);
  }
  return { code: code.join(""), comments: comments.join("\n") };
}

export interface Import {
  readonly specifier: string;
  /** `type`: erased, nothing is loaded. `dynamic`: `import()` of a literal. */
  readonly kind: "static" | "type" | "dynamic";
}

/** The imports and re-exports of a module, in order; computed specifiers are not seen. */
export function importsOf(source: string): Import[] {
  const { code } = mask(source);
  const found: (Import & { at: number })[] = [];
  const add = (match: RegExpExecArray, kind: Import["kind"]): void => {
    const end = match.index + match[0].length - 1;
    const length = match.groups?.["text"]?.length ?? 0;
    found.push({ specifier: source.slice(end - length, end), kind, at: match.index });
  };
  const from =
    /\b(?:import|export)\b(?<type>\s+type\b(?!\s+from\b))?[^;"'`()]*?\bfrom\s*(["'])(?<text> *)\2/g;
  for (const match of code.matchAll(from)) add(match, match.groups?.["type"] ? "type" : "static");
  for (const match of code.matchAll(/\bimport\s*(["'])(?<text> *)\1/g)) add(match, "static");
  const call = /(?<type>\btypeof\s+)?\bimport\s*\(\s*(["'])(?<text> *)\2/g;
  for (const match of code.matchAll(call)) add(match, match.groups?.["type"] ? "type" : "dynamic");
  return found.sort((a, b) => a.at - b.at).map(({ specifier, kind }) => ({ specifier, kind }));
}

/** The path from the root of what `specifier` names in `file`; undefined when it is not relative. */
export function resolved(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, new URL(file, root)).href.slice(root.href.length);
}
