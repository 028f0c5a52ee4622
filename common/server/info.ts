/**
 * INFO: the sections of the server, in Redis's order and words, joined by those of the engine.
 */
import type { Bytes } from "../bytes.ts";
import type { Client } from "../command/session.ts";
import { REDIS_VERSION, TWOLOG_VERSION } from "../command/version.ts";
import type { Config } from "../config.ts";
import type { Engine, InfoSection } from "../engine.ts";
import type { Host } from "../host.ts";
import type { Statistics } from "./statistics.ts";

/** The process around the server, for figures that are not the server's own. */
export interface ProcessView {
  readonly pid: number;
  readonly platform: string;
  readonly arch: string;
  readonly runtime: string;
  memory(): { readonly used: number; readonly resident: number };
  /** Seconds of CPU time since the process began. */
  cpu(): { readonly user: number; readonly system: number };
}

/** The server as INFO sees it. */
export interface InfoSource {
  readonly engine: Engine;
  readonly host: Host;
  readonly config: Config;
  readonly statistics: Statistics;
  readonly startedAt: number;
  readonly runId: string;
  readonly port: number;
  readonly clientCount: number;
  readonly blockedCount: number;
  clients(): Iterable<Client>;
}

type Entries = InfoSection["entries"];

/** Sections that only `INFO all`, `everything` or their name shows. */
const NOT_BY_DEFAULT: ReadonlySet<string> = new Set(["commandstats"]);

function serverSection(server: InfoSource, process: ProcessView | undefined): Entries {
  const uptime = Math.max(0, Math.floor((server.host.clock.now() - server.startedAt) / 1000));
  return [
    ["redis_version", REDIS_VERSION],
    ["twolog_version", TWOLOG_VERSION],
    ["twolog_engine", server.engine.name],
    ["redis_mode", "standalone"],
    ...(process === undefined
      ? []
      : ([
          ["os", process.platform],
          ["arch_bits", 64],
          ["arch", process.arch],
          ["runtime", process.runtime],
          ["process_id", process.pid],
        ] as const)),
    ["run_id", server.runId],
    ["tcp_port", server.port],
    ["server_time_usec", server.host.clock.now() * 1000],
    ["uptime_in_seconds", uptime],
    ["uptime_in_days", Math.floor(uptime / 86400)],
    ["hz", server.config.number("hz")],
    ["configured_hz", server.config.number("hz")],
  ];
}

function clientsSection(server: InfoSource): Entries {
  return [
    ["connected_clients", server.clientCount],
    ["maxclients", server.config.number("maxclients")],
    ["blocked_clients", server.blockedCount],
    ["pubsub_clients", 0],
    ["watching_clients", [...server.clients()].filter((client) => client.transaction.watcher.keys.length > 0).length],
  ];
}

function memorySection(_server: InfoSource, process: ProcessView | undefined): Entries {
  if (process === undefined) return [];
  const { used, resident } = process.memory();
  return [
    ["used_memory", used],
    ["used_memory_human", humanBytes(used)],
    ["used_memory_rss", resident],
    ["used_memory_rss_human", humanBytes(resident)],
    ["maxmemory", 0],
    ["maxmemory_human", "0B"],
    ["maxmemory_policy", "noeviction"],
  ];
}

function statsSection({ statistics }: InfoSource): Entries {
  return [
    ["total_connections_received", statistics.connections],
    ["total_commands_processed", statistics.commands],
    ["instantaneous_ops_per_sec", statistics.rate],
    ["total_net_input_bytes", statistics.inputBytes],
    ["total_net_output_bytes", statistics.outputBytes],
    ["rejected_connections", statistics.rejectedConnections],
    ["total_error_replies", statistics.errorReplies],
  ];
}

function replicationSection(): Entries {
  return [
    ["role", "master"],
    ["connected_slaves", 0],
    ["master_repl_offset", 0],
  ];
}

function cpuSection(_server: InfoSource, process: ProcessView | undefined): Entries {
  if (process === undefined) return [];
  const { user, system } = process.cpu();
  return [
    ["used_cpu_sys", system.toFixed(6)],
    ["used_cpu_user", user.toFixed(6)],
  ];
}

function commandStatsSection({ statistics }: InfoSource): Entries {
  return [...statistics.byCommand.values()]
    .filter(({ calls, rejected }) => calls > 0 || rejected > 0)
    .map(({ name, calls, timeMs, rejected, failed }) => {
      const usec = Math.round(timeMs * 1000);
      const mean = calls === 0 ? 0 : (timeMs * 1000) / calls;
      return [
        `cmdstat_${name}`,
        `calls=${calls},usec=${usec},usec_per_call=${mean.toFixed(2)},rejected_calls=${rejected},failed_calls=${failed}`,
      ] as const;
    });
}

function errorStatsSection({ statistics }: InfoSource): Entries {
  return [...statistics.errors].map(([code, count]) => [`errorstat_${code}`, `count=${count}`] as const);
}

function keyspaceSection({ engine }: InfoSource): Entries {
  return engine.keyspace.databases
    .filter((database) => database.size > 0)
    .map(
      ({ index, size, expiringCount }) => [`db${index}`, `keys=${size},expires=${expiringCount},avg_ttl=0`] as const,
    );
}

const SECTIONS: readonly (readonly [
  name: string,
  entries: (server: InfoSource, process: ProcessView | undefined) => Entries,
])[] = [
  ["server", serverSection],
  ["clients", clientsSection],
  ["memory", memorySection],
  ["persistence", () => [["loading", 0]]],
  ["stats", statsSection],
  ["replication", replicationSection],
  ["cpu", cpuSection],
  ["modules", () => []],
  ["commandstats", commandStatsSection],
  ["errorstats", errorStatsSection],
  ["cluster", () => [["cluster_enabled", 0]]],
  ["keyspace", keyspaceSection],
];

/** The text of INFO for the named sections; none: the default ones. */
export function infoText(server: InfoSource, process: ProcessView | undefined, names: readonly string[]): Bytes {
  const ofEngine = new Map(server.engine.info().map((section) => [section.name, section.entries]));
  const all = names.includes("all") || names.includes("everything");
  const usual = names.length === 0 || names.includes("default");
  const wanted = (name: string) => all || names.includes(name) || (usual && !NOT_BY_DEFAULT.has(name));
  const texts: Bytes[] = [];
  const known = new Set(SECTIONS.map(([name]) => name));
  for (const [name, entries] of SECTIONS) {
    if (wanted(name)) texts.push(sectionText(name, [...entries(server, process), ...(ofEngine.get(name) ?? [])]));
  }
  for (const [name, entries] of ofEngine) if (!known.has(name) && wanted(name)) texts.push(sectionText(name, entries));
  return texts.join("\r\n");
}

function sectionText(name: string, entries: Entries): Bytes {
  const title = name === "cpu" ? "CPU" : name[0]!.toUpperCase() + name.slice(1);
  return `# ${title}\r\n${entries.map(([key, value]) => `${key}:${value}\r\n`).join("")}`;
}

/** As Redis prints bytes for people: "1.05M". */
function humanBytes(bytes: number): string {
  const units = ["B", "K", "M", "G", "T"];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes}B` : `${(bytes / 1024 ** power).toFixed(2)}${units[power]}`;
}
