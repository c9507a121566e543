/** Reads the JUnit report of `bun test`: only the shape Bun writes (nested testsuite, testcase, failure, skipped). */

const entities = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
const unescape = (text) =>
  text.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, name) => {
    if (name.startsWith("#x")) return String.fromCodePoint(parseInt(name.slice(2), 16));
    if (name.startsWith("#")) return String.fromCodePoint(Number(name.slice(1)));
    return entities[name] ?? whole;
  });

const UNNAMED = " > (unnamed)";

function attributesOf(text) {
  const found = {};
  for (const [, name, value] of text.matchAll(/([\w-]+)="([^"]*)"/g)) found[name] = unescape(value);
  return found;
}

/** `[{ name, outcome: "passed" | "failed" | "skipped", ms, error? }]`, names as `outer > inner > test`. */
export function readJunit(xml) {
  const tests = [];
  const path = [];
  let open;
  const tags = /<(\/?)(\w+)((?:\s+[\w-]+="[^"]*")*)\s*(\/?)>([^<]*)/g;
  for (const [, closing, tag, inner, self, content] of xml.matchAll(tags)) {
    const attributes = attributesOf(inner);
    if (tag === "testsuite" && closing) path.pop();
    // Bun's outermost suite is the file.
    else if (tag === "testsuite" && !self) path.push(attributes.name);
    else if (tag === "testcase" && !closing) {
      const name = [...path.slice(1), attributes.name].join(" > ");
      open = { name, outcome: "passed", ms: Number(attributes.time) * 1000 };
      tests.push(open);
    } else if (tag === "failure" && !closing && open) {
      open.outcome = "failed";
      open.error = unescape(content).trim() || attributes.message;
    } else if (tag === "skipped" && open) open.outcome = "skipped";
  }
  // Bun lists the hooks of a skipped suite as tests, without a name. One that failed stays.
  return tests.filter(({ name, outcome }) => outcome !== "skipped" || !name.endsWith(UNNAMED));
}
