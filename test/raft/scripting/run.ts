/** Runs one script of any kind and says where it first differs. */
import { type Core, realCore } from "../core.ts";
import { clusterRunner } from "./cluster.ts";
import { confChangeRunner } from "./confchange.ts";
import { runQuorum } from "./quorum.ts";
import { type Directive, parseScript } from "./script.ts";

export interface Difference {
  readonly directive: Directive;
  readonly expected: string;
  readonly actual: string;
}

/** Another implementation's log lines, which stand between the lines to compare. */
const LOG_LINE = /^\s*(DEBUG|INFO|WARN|ERROR) /;
/** The drawn progress bars of quorum scripts: a heading and a line for each voter. */
const BAR_LINE = /^ +idx$|^[x>?][x> ]* +\d+ +\(id=\d+\)$/;

/** The first directive whose text is not what the script says; undefined when there is none. */
export function runScript(text: string, core: Core = realCore): Difference | undefined {
  const directives = parseScript(text);
  const run = runnerFor(directives, core);
  for (const directive of directives) {
    const expected = comparable(directive.expected);
    const actual = comparable(run(directive));
    if (expected !== actual) return { directive, expected, actual };
  }
  return undefined;
}

function runnerFor(directives: readonly Directive[], core: Core): (directive: Directive) => string {
  switch (directives[0]?.command.name) {
    case "vote":
    case "committed":
      return runQuorum;
    case "simple":
    case "enter-joint":
    case "leave-joint":
      return confChangeRunner();
    default:
      return clusterRunner(core);
  }
}

function comparable(text: string): string {
  const lines = text.replace("<empty majority quorum>", "").split("\n")
    .filter((line) => !LOG_LINE.test(line) && !BAR_LINE.test(line)).map((line) => line.trimEnd());
  const joined = lines.join("\n").trimEnd();
  return joined === "" ? "ok" : joined;
}

/** Expected beside actual, with a mark where lines differ. */
export function describeDifference({ directive, expected, actual }: Difference): string {
  const left = expected.split("\n"), right = actual.split("\n");
  const width = Math.max(...left.map((line) => line.length), "expected".length);
  const rows = Array.from({ length: Math.max(left.length, right.length) }, (_, row) => {
    const one = left[row] ?? "", other = right[row] ?? "";
    return `  ${one.padEnd(width)} ${one === other ? "|" : "!"} ${other}`;
  });
  const head = `  ${"expected".padEnd(width)} | actual`;
  return [
    `line ${directive.line}: ${directive.text}`,
    ...directive.input.map((line) => `  ${line}`),
    head,
    ...rows,
  ]
    .join("\n");
}
