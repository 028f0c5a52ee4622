/**
 * Configuration: directives and their values, CONFIG SET's error texts, the config file, and CONFIG REWRITE.
 */
import t from "tap";
import { type Directive, DirectiveConfig } from "../common/config.ts";
import { loadConfigText, rewriteConfigText } from "../common/server/config-file.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";

const TABLE: readonly Directive[] = [
  { name: "count", kind: "integer", default: "10", mutable: true, min: 1, max: 500, summary: "" },
  { name: "size", kind: "memory", default: "64", mutable: true, summary: "" },
  { name: "switch", kind: "boolean", default: "no", mutable: true, summary: "" },
  { name: "policy", kind: "choice", default: "everysec", mutable: true, values: ["everysec", "always"], summary: "" },
  { name: "title", kind: "text", default: "", mutable: true, summary: "" },
  { name: "fixed-at-start", kind: "integer", default: "1", mutable: false, aliases: ["old_name"], summary: "" },
];

const config = (initial: Record<string, string> = {}): DirectiveConfig => new DirectiveConfig([TABLE], initial);

t.test("values", async (t) => {
  t.test("memory has Redis's units", async (t) => {
    const target = config();
    const units: [string, number][] = [
      ["1", 1],
      ["2b", 2],
      ["1k", 1000],
      ["1kb", 1024],
      ["3M", 3_000_000],
      ["3mb", 3 * 1024 * 1024],
      ["1G", 1_000_000_000],
      ["1gB", 1024 ** 3],
    ];
    for (const [text, bytes] of units) {
      target.set([["size", text]]);
      t.equal(target.number("size"), bytes, text);
      t.equal(target.text("size"), String(bytes), "CONFIG GET prints bytes");
    }
  });

  t.test("so has client-output-buffer-limit", async (t) => {
    const target = new DirectiveConfig([SERVER_DIRECTIVES]);
    const name = "client-output-buffer-limit";
    target.set([[name, "NORMAL 100mb 50K 10"]]);
    t.equal(target.text(name), "normal 104857600 50000 10");
    for (const [text, problem] of [
      ["normal 1gb 50x 10", /Error in hard, soft or soft_seconds setting/],
      ["normal -1 0 10", /Error in hard, soft or soft_seconds setting/],
      ["normal 1 1 1s", /Error in hard, soft or soft_seconds setting/],
      [`normal ${"9".repeat(400)} 1 1`, /Error in hard, soft or soft_seconds setting/],
      ["normal 1 1", /Wrong number of arguments/],
      ["replica 1 1 1", /Invalid client class/],
    ] as const) {
      t.throws(() => target.set([[name, text]]), problem, text);
    }
    t.equal(target.text(name), "normal 104857600 50000 10");
  });

  t.test("names are found with either hyphen, in any case, by alias", async (t) => {
    const target = config({ OLD_NAME: "7" });
    t.equal(target.number("fixed-at-start"), 7);
    t.equal(target.number("Fixed_At_Start"), 7);
    t.equal(target.find("nothing"), undefined);
  });

  t.test("texts are Unicode, arguments are bytes", async (t) => {
    const target = config();
    target.set([["title", Buffer.from("Zürich").toString("latin1")]]);
    t.equal(target.text("title"), "Zürich");
  });
});

t.test("CONFIG SET", async (t) => {
  t.test("answers with Redis's texts", async (t) => {
    const cases: [[string, string][], string][] = [
      [[["count", "abc"]], "argument couldn't be parsed into an integer"],
      [[["count", "01"]], "argument couldn't be parsed into an integer"],
      [[["count", "501"]], "argument must be between 1 and 500 inclusive"],
      [[["size", "1x"]], "argument must be a memory value"],
      [[["switch", "maybe"]], "argument must be 'yes' or 'no'"],
      [[["policy", "often"]], "argument(s) must be one of the following: everysec, always"],
      [[["fixed-at-start", "2"]], "can't set immutable config"],
      [
        [
          ["count", "1"],
          ["count", "2"],
        ],
        "duplicate parameter",
      ],
    ];
    for (const [pairs, text] of cases) {
      const name = pairs[0]![0];
      t.throws(() => config().set(pairs), {
        name: "CommandError",
        message: `ERR CONFIG SET failed (possibly related to argument '${name}') - ${text}`,
      });
    }
    t.throws(() => config().set([["no-such", "1"]]), {
      message: "ERR Unknown option or number of arguments for CONFIG SET - 'no-such'",
    });
  });

  t.test("sets all or nothing, and then tells", async (t) => {
    const target = config();
    const told: string[] = [];
    target.onChange("count", () => told.push(`count ${target.number("count")} ${target.boolean("switch")}`));
    t.throws(() =>
      target.set([
        ["count", "20"],
        ["switch", "perhaps"],
      ]),
    );
    t.equal(target.number("count"), 10);
    target.set([
      ["count", "20"],
      ["switch", "YES"],
    ]);
    t.same(told, ["count 20 true"]);
  });
});

t.test("the config file", async (t) => {
  t.test("is read like Redis's", async (t) => {
    const target = config();
    loadConfigText(
      target,
      '# comment\n\n  count 30\r\nsize 1mb\nTitle "two words \\"quoted\\""\npolicy always\n',
      "x.conf",
    );
    t.equal(target.number("count"), 30);
    t.equal(target.number("size"), 1024 * 1024);
    t.equal(target.text("title"), 'two words "quoted"');
    t.equal(target.text("policy"), "always");
  });

  t.test("is refused with its line", async (t) => {
    const cases: [string, string][] = [
      ["count 1\nno-such 2\n", "x.conf, line 2: unknown directive 'no-such'"],
      ["count many\n", "x.conf, line 1: count 'many': argument couldn't be parsed into an integer"],
      ['title "open\n', "x.conf, line 1: unbalanced quotes"],
      ["include other.conf\n", "x.conf, line 1: include is not supported"],
    ];
    for (const [text, message] of cases) {
      t.throws(() => loadConfigText(config(), text, "x.conf"), { name: "UsageError", message });
    }
    t.throws(() => config({ color: "red" }), { name: "UsageError", message: "--color: unknown directive 'color'" });
  });

  t.test("is rewritten with its comments and order; what is new comes last", async (t) => {
    const target = config();
    const text = "# my server\ncount 30\n\nsize 1mb # not a comment\n";
    t.throws(() => loadConfigText(target, text, "x.conf"), "Redis knows no comment behind a value either");
    const before = "# my server\ncount 30\n\n# sizes\nsize 1mb\ncount 31\n";
    loadConfigText(target, before, "x.conf");
    target.set([
      ["count", "99"],
      ["title", ' a "b"\n'],
      ["switch", "yes"],
    ]);
    const after = rewriteConfigText(before, target);
    t.equal(
      after,
      '# my server\ncount 99\n\n# sizes\nsize 1048576\n# Generated by CONFIG REWRITE\nswitch yes\ntitle " a \\"b\\"\\n"\n',
    );
    const again = config();
    loadConfigText(again, after, "x.conf");
    for (const { name } of TABLE) t.equal(again.text(name), target.text(name), name);
    t.equal(rewriteConfigText(after, again), after, "rewriting again changes nothing");
  });
});

t.test("every directive of the server has a name of its own and a default that can be read back", async (t) => {
  const server = new DirectiveConfig([SERVER_DIRECTIVES]);
  for (const directive of SERVER_DIRECTIVES) t.equal(server.text(directive.name), directive.default, directive.name);
});
