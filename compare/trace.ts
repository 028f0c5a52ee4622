/**
 * `twolog trace 'SET k v'`: the ordered steps of one command on both engines, side by side, from the same trace events and
 * disk operations that the crash lab uses. On a real disk in a temporary folder, with real times.
 */
import { type Bytes, fromText, toBuffer, toText } from "../common/bytes.ts";
import { RealDisk } from "../common/disk/real-disk.ts";
import { type DiskOperation, RecordingDisk } from "../common/disk/recording-disk.ts";
import { UsageError } from "../common/errors.ts";
import { RealHost, type StepDetail } from "../common/host.ts";
import { splitArguments } from "../common/resp/split-arguments.ts";
import type { Server } from "../common/server/server.ts";
import { STEPS, type StepName } from "../common/steps.ts";
import { configFor, createEngine } from "./engines.ts";
import { encodeCommand, ReplyReadingTransport, serverOf } from "./in-process.ts";
import { type EngineName, type Policy, policyOf } from "./policy.ts";
import { makeFolder, removeFolder } from "./server-process.ts";
import { terminalWidth } from "./terminal-lines.ts";

export interface TraceOptions {
  /** Print the events as JSON instead. */
  readonly json?: boolean | undefined;
  /** A policy's name for each engine: "always", "1/1" when left out. */
  readonly aof?: string | undefined;
  readonly wal?: string | undefined;
  /** Commands that run before, untraced: what the traced one meets. */
  readonly before?: readonly string[] | undefined;
}

/** A step of the write path, or what the disk was told to do. */
interface TraceEvent {
  /** Since the command reached the server. */
  readonly ms: number;
  readonly step?: StepName;
  readonly meaning?: string;
  readonly call?: string;
  readonly file?: string;
  readonly offset?: number;
  readonly bytes?: number;
  readonly lsn?: number;
  readonly note?: string;
}

interface EngineTrace {
  readonly engine: EngineName;
  readonly policy: string;
  readonly reply: string;
  readonly events: readonly TraceEvent[];
}

/** How long the background may still work after the reply: what a command leaves to be done at once shows. */
const AFTER_REPLY_MS = 60;

/** Traces `commandLine` on both engines and prints it. Returns the exit status. */
export async function runTrace(commandLine: string, options: TraceOptions): Promise<number> {
  const command = parse(commandLine);
  const before = (options.before ?? []).map(parse);
  const traces = [
    await traceOn(policyOf("aof", options.aof ?? "always"), before, command),
    await traceOn(policyOf("wal", options.wal ?? "1/1"), before, command),
  ];
  const output =
    options.json === true
      ? JSON.stringify({ command: commandLine, traces }, null, 2)
      : `${render(traces)}\n\n${meanings(traces)}`;
  process.stdout.write(`${output}\n`);
  return 0;
}

function parse(line: string): Bytes[] {
  const words = splitArguments(fromText(line));
  if (words === undefined || words.length === 0) throw new UsageError(`not a command: '${line}'`);
  return words;
}

async function traceOn(policy: Policy, before: readonly Bytes[][], command: readonly Bytes[]): Promise<EngineTrace> {
  const folder = makeFolder();
  try {
    const events: TraceEvent[] = [];
    const clock = { startedAt: Number.POSITIVE_INFINITY };
    const note = (event: Omit<TraceEvent, "ms">): void => {
      const ms = performance.now() - clock.startedAt;
      if (ms >= 0) events.push({ ms: Math.round(ms * 1000) / 1000, ...event });
    };
    const disk = new RecordingDisk(new RealDisk(folder), (operation) => note(describeOperation(operation)));
    const host = new RealHost(disk, (step, detail) => note(describeStep(step, detail)));
    const config = configFor(policy.engine, policy.directives);
    const engine = createEngine(policy.engine, host, config);
    engine.recover();
    const server = serverOf(engine, host, config, (error) => {
      throw error;
    });
    const client = new OneClient(server);
    for (const earlier of before) await client.ask(earlier);
    await pause(AFTER_REPLY_MS);
    clock.startedAt = performance.now();
    const reply = await client.ask(command);
    await pause(AFTER_REPLY_MS);
    clock.startedAt = Number.POSITIVE_INFINITY;
    server.stop();
    await engine.close();
    return { engine: policy.engine, policy: policy.name, reply, events };
  } finally {
    removeFolder(folder);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A client in this process: asks, and waits for the reply. */
class OneClient extends ReplyReadingTransport {
  readonly #receive: (chunk: Buffer) => void;
  #answer: (reply: string) => void = () => {};

  constructor(server: Server) {
    super();
    const connection = server.connect(this);
    this.#receive = (chunk) => connection?.receive(chunk);
  }

  ask(command: readonly Bytes[]): Promise<string> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#receive(toBuffer(encodeCommand(command)));
    });
  }

  protected answered(reply: unknown): void {
    this.#answer(replyText(reply));
  }
}

function replyText(reply: unknown): string {
  if (reply === null) return "(nil)";
  if (reply instanceof Error) return `(error) ${reply.message}`;
  if (typeof reply === "string") return toText(reply);
  return Array.isArray(reply) ? `[${reply.map(replyText).join(", ")}]` : String(reply);
}

function describeStep(step: StepName, detail: StepDetail): Omit<TraceEvent, "ms"> {
  const meaning = STEPS.find(({ name }) => name === step)?.meaning ?? "";
  const parts = [
    detail.page === undefined ? "" : `page ${detail.page}`,
    detail.transaction === undefined ? "" : `transaction ${detail.transaction}`,
    detail.note ?? "",
  ];
  const note = parts.filter((part) => part !== "").join(", ");
  const { file, offset, bytes, lsn } = detail;
  return {
    step,
    meaning,
    ...(file !== undefined && { file }),
    ...(offset !== undefined && { offset }),
    ...(bytes !== undefined && { bytes }),
    ...(lsn !== undefined && { lsn }),
    ...(note !== "" && { note }),
  };
}

const CALLS: Readonly<Record<DiskOperation["kind"], string>> = {
  create: "create",
  write: "write",
  truncate: "truncate",
  "sync-start": "fsync begins",
  "sync-end": "fsync ends",
  rename: "rename",
  link: "link",
  remove: "remove",
  "make-dir": "mkdir",
  "sync-dir": "fsync folder",
};

function describeOperation(operation: DiskOperation): Omit<TraceEvent, "ms"> {
  const call = CALLS[operation.kind];
  const file = operation.path;
  if (operation.kind === "write") return { call, file, offset: operation.at, bytes: operation.bytes.length };
  if (operation.kind === "rename") return { call, file, note: `to ${operation.to}` };
  return { call, file };
}

/** Two columns where the terminal has room for them, else one engine below the other. */
function render(traces: readonly EngineTrace[]): string {
  const columns = traces.map(columnOf);
  const width = Math.max(...(columns[0] ?? []).map((line) => line.length));
  const other = Math.max(...(columns[1] ?? []).map((line) => line.length));
  const room = terminalWidth() ?? 160;
  if (width + 3 + other > room) return columns.map((column) => column.join("\n")).join("\n\n");
  const height = Math.max(...columns.map((column) => column.length));
  const [left = [], right = []] = columns;
  return Array.from({ length: height }, (_, row) =>
    `${(left[row] ?? "").padEnd(width)} │ ${right[row] ?? ""}`.trimEnd(),
  ).join("\n");
}

/** Each step that came, and what it means, once. */
function meanings(traces: readonly EngineTrace[]): string {
  const seen = new Set(traces.flatMap(({ events }) => events.map(({ step }) => step)));
  return STEPS.filter(({ name }) => seen.has(name))
    .map(({ name, meaning }) => `${name.padEnd(18)}${meaning}`)
    .join("\n");
}

function columnOf(trace: EngineTrace): string[] {
  const lines = [`kv-${trace.engine} ${trace.policy}`, `${"ms".padStart(7)}  step`];
  for (const event of trace.events) {
    const time = event.ms.toFixed(3).padStart(7);
    lines.push(`${time}  ${event.step === undefined ? `    ${operationText(event)}` : stepText(event)}`);
  }
  lines.push(`         reply: ${trace.reply}`);
  return lines;
}

function stepText(event: TraceEvent): string {
  const lsn = event.lsn === undefined ? "" : `LSN ${event.lsn}`;
  const bytes = event.bytes === undefined ? "" : `${event.bytes} B`;
  return [(event.step ?? "").padEnd(16), bytes, lsn, event.note ?? ""]
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
}

function operationText(event: TraceEvent): string {
  const place = event.offset === undefined ? "" : `${event.bytes} B at ${event.offset}`;
  return [event.call ?? "", event.file ?? "", place, event.note ?? ""].filter((part) => part !== "").join("  ");
}
