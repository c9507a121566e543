/** Names as no sensible person would choose them: what tests give for ids, endpoints and reasons. */

/** 1 to 256 bytes of well-formed UTF-8 without control characters: each is a connectionId like any other. */
export const ODD_NAMES: readonly string[] = [
  " ",
  ".",
  "..",
  "../../etc/passwd",
  "/",
  "a/b//c",
  "%",
  "%2e%2e%2f",
  "%00",
  "?id=b&id=c#d",
  "a+b c",
  "\\\"'`${x}",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "0",
  "-1e309",
  // One letter in two spellings: two names, since nothing is normalized.
  "\u00e9",
  "e\u0301",
  // Alike, but not the same: Latin, Cyrillic, fullwidth.
  "a",
  "\u0430",
  "\uff41",
  // What has another length, or another letter, in the other case.
  "\u0130\u0131\u00df\u1e9e",
  "\u01c5",
  // Right to left, and text that turns its direction.
  "\u05d0\u0628",
  "\u202eabc\u202c",
  "\u2067abc\u2069",
  // Nothing to be seen.
  "\ufeff",
  "\u200b",
  "\u200d",
  "\u2060",
  "\u00ad",
  "\u3000",
  "\u2028\u2029",
  // Beyond 16 bits: a family, a flag, and a flag of tags.
  "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}",
  "\u{1f1e9}\u{1f1ea}",
  "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}",
  // A base with very many marks.
  `z${"\u0300\u0489\u0321".repeat(40)}`,
  // What stands for nothing, or for what could not be read.
  "\ufffd",
  "\ufffe\uffff",
  "\u{10ffff}",
  "\ue000",
  "\ufdd0",
  // Just as long as a name may be, in characters of one, two, three and four bytes.
  "x".repeat(256),
  "\u00df".repeat(128),
  `${"\u20ac".repeat(85)}x`,
  "\u{1f600}".repeat(64),
];

/** Too long, cut in the middle of a character, or with control characters: names of nothing. */
export const BAD_NAMES: readonly string[] = [
  "",
  "a\0b",
  "a\nb",
  "a\r\nx-injected: 1",
  "\u001b[2J",
  "\u007f",
  "\u0085",
  "\u009f",
  "\ud800",
  "\udfff",
  "\udc00\ud800",
  "x".repeat(257),
  "\u00df".repeat(129),
  "\u{1f600}".repeat(65),
];

/** Ten megabytes, of letters and of control characters (such as JSON does not make longer). */
export const HUGE_NAMES: readonly string[] = ["x".repeat(10_000_000), "\u0085\u009f".repeat(2_500_000)];
