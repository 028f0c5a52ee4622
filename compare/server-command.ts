/**
 * `twolog server`: reads the config file and the flags, and starts the chosen engine.
 *
 * Every directive of the tables is a flag of the same name; a flag beats the file, the file beats the default.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command, Option } from "commander";
import { type Directive, DirectiveConfig } from "../common/config.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { UsageError } from "../common/errors.ts";
import { RealHost } from "../common/host.ts";
import { type ConfigFile, loadConfigText } from "../common/server/config-file.ts";
import { SERVER_DIRECTIVES } from "../common/server/directives.ts";
import { AOF_DIRECTIVES } from "../kv-aof/directives.ts";
import { WAL_DIRECTIVES } from "../kv-wal/directives.ts";

/** Only the engine that runs is loaded. `folder`: where it has its data in the data folder, unless told otherwise. */
const ENGINES = {
  aof: { directives: AOF_DIRECTIVES, folder: "appendonlydir", load: () => import("../kv-aof/main.ts") },
  wal: { directives: WAL_DIRECTIVES, folder: "wal", load: () => import("../kv-wal/main.ts") },
} as const;

type EngineName = keyof typeof ENGINES;

/** The subcommand, for compare/twolog.ts. */
export function serverCommand(): Command {
  const command = new Command("server")
    .description("start a server on one of the two storage engines")
    .addOption(new Option("--engine <name>", "storage engine").choices(Object.keys(ENGINES)).default("aof"))
    .option("--config <file>", "read directives from a file in Redis's syntax");
  addDirectives(command, SERVER_DIRECTIVES, "Directives of the server:");
  addDirectives(command, AOF_DIRECTIVES, "Directives of kv-aof (--engine aof):");
  addDirectives(command, WAL_DIRECTIVES, "Directives of kv-wal (--engine wal):");
  return command.action(async () => {
    const { engine, config } = command.opts<{ engine: EngineName; config?: string }>();
    await start(engine, config, given(command));
  });
}

function addDirectives(command: Command, directives: readonly Directive[], group: string): void {
  for (const directive of directives) {
    if (findOption(command, directive.name) !== undefined) continue;
    const text = `${directive.summary} (default: ${directive.default || '""'})`;
    command.addOption(new Option(`--${directive.name} <value>`, text).helpGroup(group));
    for (const alias of directive.aliases ?? []) {
      command.addOption(new Option(`--${alias.replaceAll("_", "-")} <value>`).hideHelp());
    }
  }
}

function findOption(command: Command, name: string): Option | undefined {
  return command.options.find((option) => option.long === `--${name}`);
}

/** The directives given on the command line, by name. */
function given(command: Command): Map<string, string> {
  const values = new Map<string, string>();
  for (const option of command.options) {
    const name = option.long?.slice(2) ?? "";
    if (name === "engine" || name === "config") continue;
    const value: unknown = command.getOptionValue(option.attributeName());
    if (typeof value === "string") values.set(name, value);
  }
  return values;
}

/**
 * Lets V8 inline more. A command runs through many small functions, more than the default budgets take into one: with
 * these, a SET on kv-wal costs 9 % less processor time and a GET 11 % less; budgets three times as large cost more than
 * they give. Called before anything hot is compiled. A V8 that does not know a flag ignores it.
 */
function inlineMore(): void {
  setFlagsFromString("--max-inlined-bytecode-size=1500");
  setFlagsFromString("--max-inlined-bytecode-size-cumulative=4000");
}

async function start(engine: EngineName, configPath: string | undefined, flags: Map<string, string>): Promise<void> {
  const { directives, load } = ENGINES[engine];
  const config = new DirectiveConfig([SERVER_DIRECTIVES, directives]);
  const configFile = configPath === undefined ? undefined : fileAt(resolve(configPath));
  if (configFile !== undefined && configPath !== undefined) loadConfigText(config, configFile.read(), configPath);
  for (const [name, value] of flags) {
    if (config.find(name) === undefined) throw new UsageError(`--${name} is no directive of the engine ${engine}`);
    config.start(name, value, `--${name}`);
  }
  inlineMore();
  const { serve } = await load();
  const disk = new RealDisk(config.text("dir"));
  refuseForeign(disk, engine, config);
  const host = new RealHost(disk, undefined, (folder) => new RealDisk(folder));
  const running = await serve({ host, config, configFile });
  await running.closed;
}

/** A data folder with nothing but data of the other engine: a server that began anew in it would seem to have lost all. */
function refuseForeign(disk: RealDisk, engine: EngineName, config: DirectiveConfig): void {
  if (disk.exists(engine === "aof" ? config.text("appenddirname") : ENGINES[engine].folder)) return;
  const other = engine === "aof" ? "wal" : "aof";
  const { folder } = ENGINES[other];
  if (!disk.exists(folder)) return;
  throw new UsageError(
    `the data folder has data of kv-${other} (${folder}) and none of kv-${engine}: --engine ${other}, or another --dir`,
  );
}

function fileAt(path: string): ConfigFile {
  return {
    read() {
      try {
        return readFileSync(path, "utf8");
      } catch (error) {
        throw new UsageError(`cannot read the config file ${path}: ${(error as NodeJS.ErrnoException).code}`);
      }
    },
    write(text) {
      writeFileSync(`${path}.new`, text, { flush: true });
      renameSync(`${path}.new`, path);
    },
  };
}
