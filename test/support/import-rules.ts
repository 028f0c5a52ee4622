/**
 * Who may import whom (ARCHITECTURE.md §2), as rules for dependency-cruiser; run by test/architecture.test.ts.
 *
 * The reason is not tidiness: an engine that touches the world only through `Host` can be run, recorded and crashed by the
 * simulator, deterministically.
 */
import type { ICruiseOptions, IRegularForbiddenRuleType } from "dependency-cruiser";

const world =
  "^(node:)?(fs|net|tls|http|https|http2|dgram|child_process|worker_threads|cluster|os|dns|timers|perf_hooks)(/|$)";

/** Code in `from` may import, of this project, only what matches `to`. */
function only(name: string, from: string, to: string, comment: string): IRegularForbiddenRuleType {
  return {
    name,
    comment,
    severity: "error",
    from: { path: from },
    to: { path: "^(common|kv-aof|kv-wal|compare|test)/", pathNot: to },
  };
}

type From = IRegularForbiddenRuleType["from"];
type To = IRegularForbiddenRuleType["to"];

function never(name: string, from: From, to: To, comment: string): IRegularForbiddenRuleType {
  return { name, comment, severity: "error", from, to };
}

const roots = "^common/(bytes|assert|errors)\\.ts$";

/** What every `twolog` command loads, `twolog server` among them. */
const COMMAND_LINE =
  "^compare/(twolog|(lab/lab|server|inspect|backup)-(command|commands|options))\\.ts$" +
  "|^compare/(bench/bench|crash-program/crash)-command\\.ts$" +
  "|^compare/(flag-values|compare-modes|bench/choices|lab/campaign-defaults)\\.ts$" +
  "|^(common/server|kv-aof|kv-wal)/directives\\.ts$";

const forbidden: IRegularForbiddenRuleType[] = [
  never(
    "no-cycle",
    {},
    { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    "a cycle has no reading order",
  ),
  only("resp-is-a-leaf", "^common/resp/", `${roots}|^common/resp/`, "the protocol knows bytes only"),
  only("log-is-a-leaf", "^common/log/", `${roots}|^common/log/`, "a log knows bytes and its sink"),
  only("disk-is-a-leaf", "^common/disk/", `${roots}|^common/disk/`, "a disk knows bytes and errors"),
  only("keyspace-is-a-leaf", "^common/keyspace/", `${roots}|^common/keyspace/`, "containers know no command"),
  only(
    "command-layer",
    "^common/command/",
    `${roots}|^common/(config|steps)\\.ts$|^common/(command|resp|keyspace)/`,
    "the command layer knows neither commands, server nor engine",
  ),
  only(
    "commands-see-no-storage",
    "^common/commands/",
    `${roots}|^common/config\\.ts$|^common/(command|commands|keyspace|resp)/`,
    "a command sees a keyspace, never the server or an engine",
  ),
  only("server-knows-no-engine", "^common/server/", "^common/", "the server knows engines by their contract"),
  only("common-knows-no-engine", "^common/", "^common/", "common knows neither engine"),
  never(
    "server-without-ioredis",
    { path: "^compare/", pathNot: "^compare/(kill|claims/real-kill|originals/redis)\\.ts$" },
    { path: "(^|/)ioredis/", dependencyTypesNot: ["dynamic-import", "type-only"] },
    "twolog server would load it: a process that has loaded ioredis spends a third more time on a command",
  ),
  {
    name: "command-line-loads-no-lab",
    comment: "a command line that is read loads what names the commands and their flags; an action loads what it runs",
    severity: "error",
    from: { path: COMMAND_LINE },
    to: {
      path: "^(common|kv-aof|kv-wal|compare)/",
      pathNot: [
        COMMAND_LINE,
        "^common/(config|errors|host)\\.ts$|^common/disk/real-disk\\.ts$|^common/server/config-file\\.ts$",
      ],
      dependencyTypesNot: ["dynamic-import", "type-only"],
    },
  },
  only("kv-aof-alone", "^kv-aof/", "^(common|kv-aof)/", "the engines never import each other"),
  only("kv-wal-alone", "^kv-wal/", "^(common|kv-wal)/", "the engines never import each other"),
  never(
    "engines-see-no-server",
    { path: "^kv-(aof|wal)/", pathNot: "/main\\.ts$" },
    { path: "^common/server/" },
    "only main.ts of an engine starts a server",
  ),
  never(
    "nobody-imports-compare-or-test",
    { pathNot: "^(compare|test)/" },
    { path: "^(compare|test)/" },
    "the lab stands outside",
  ),
  never("product-imports-no-test", { path: "^compare/" }, { path: "^test/" }, "the lab ships without the tests"),
  never(
    "file-system-only-in-real-disk",
    { path: "^(common|kv-aof|kv-wal)/", pathNot: "^common/(disk/real-disk\\.ts|server/)" },
    { path: world, dependencyTypes: ["core"] },
    "everything else goes through Host",
  ),
  never(
    "sockets-only-in-server",
    { path: "^common/server/" },
    { path: "^(node:)?(fs|child_process|worker_threads)(/|$)", dependencyTypes: ["core"] },
    "the server has sockets, not files",
  ),
];

/** Everything `cruise` needs to judge the tree. */
export const IMPORT_RULES: ICruiseOptions = {
  ruleSet: { forbidden },
  validate: true,
  doNotFollow: { path: "node_modules" },
  tsPreCompilationDeps: true,
  exclude: { path: "^dist/" },
};
