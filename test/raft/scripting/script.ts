/**
 * Scripts: a list of directives, each a command line, input lines, `----`, and the expected text up to a blank
 * line (or, with `----` twice, up to `----` twice). `#` begins a comment; `\` continues a command line.
 */
export interface Command {
  readonly name: string;
  readonly args: readonly Argument[];
}

/** `key`, `key=value` or `key=(value, value)`. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

export interface Directive {
  /** Where it begins; lines count from 1. */
  readonly line: number;
  readonly text: string;
  readonly command: Command;
  readonly input: readonly string[];
  readonly expected: string;
}

const SEPARATOR = "----";

export function parseScript(text: string): Directive[] {
  const lines = text.split(/\r?\n/);
  const directives: Directive[] = [];
  for (let at = 0; at < lines.length;) {
    const first = lines[at] ?? "";
    if (first.trim() === "" || first.trim().startsWith("#")) {
      at++;
      continue;
    }
    const line = at + 1;
    let command = lines[at++] ?? "";
    while (command.endsWith("\\") && at < lines.length) {
      command = `${command.slice(0, -1)} ${lines[at++]?.trim()}`;
    }
    const input: string[] = [];
    while (at < lines.length && lines[at] !== SEPARATOR) input.push(lines[at++] ?? "");
    at++;
    const expected: string[] = [];
    if (lines[at] === SEPARATOR) {
      for (at++; at < lines.length && !(lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR); at++) {
        expected.push(lines[at] ?? "");
      }
      at += 2;
    } else {
      while (at < lines.length && lines[at]?.trim() !== "") expected.push(lines[at++] ?? "");
    }
    directives.push({
      line,
      text: command,
      command: parseCommand(command),
      input: trimmed(input),
      expected: expected.join("\n"),
    });
  }
  return directives;
}

/** Without the empty lines before and behind. */
function trimmed(input: readonly string[]): readonly string[] {
  const text = input.join("\n").trim();
  return text === "" ? [] : text.split("\n");
}

export function parseCommand(line: string): Command {
  const words = line.trim().match(/[^\s=]+=\([^)]*\)|\S+/g) ?? [];
  const [name = "", ...rest] = words;
  return { name, args: rest.map(parseArgument) };
}

function parseArgument(word: string): Argument {
  const equals = word.indexOf("=");
  if (equals < 0) return { key: word, values: [] };
  const value = word.slice(equals + 1);
  const values = value.startsWith("(")
    ? value.slice(1, -1).split(/[\s,]+/).filter((each) => each !== "")
    : [value];
  return { key: word.slice(0, equals), values };
}

/** The values of `key`; none when it is not there. */
export function valuesOf({ args }: Command, key: string): readonly string[] {
  return args.filter((argument) => argument.key === key).flatMap(({ values }) => values);
}

/** Whether `key` is set to one of the words for true; false when it is not there. */
export function flagOf(command: Command, key: string): boolean {
  const [value = "false"] = valuesOf(command, key);
  const word = /^(?:[tf]|true|false)$/i.test(value) ? value[0]?.toLowerCase() : value;
  if (word === "t" || word === "1") return true;
  if (word === "f" || word === "0") return false;
  throw new ScriptError(`parsing ${JSON.stringify(value)}: invalid syntax`);
}

/** The arguments without a value, as numbers. */
export function plainNumbers({ args }: Command): number[] {
  return args.filter(({ values }) => values.length === 0).map(({ key }) => numberFrom(key));
}

export function numberFrom(text: string): number {
  if (!/^\d+$/.test(text)) throw new ScriptError(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

/** A script asks for what the runner does not understand. */
export class ScriptError extends Error {}
