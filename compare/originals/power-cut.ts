/**
 * Real power cuts (gate 2): a file system of its own, ext4 on a loop device, mounted with commit=300 so that nothing reaches
 * the disk by itself; at the cut the EXT4_IOC_SHUTDOWN ioctl stops it without writing the journal. What is there after the
 * next mount is what a power loss leaves, and every such folder must be among those that the models allow.
 *
 * It needs root, mkfs.ext4, mount, a loop device, and python3 or perl for the ioctl, which Node cannot make. A cut takes
 * about 10 ms; mounting again as long.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../common/errors.ts";
import { makeFolder } from "../server-process.ts";

const SIZE = "256M";
const EXT4_IOC_SHUTDOWN = 0x8004587d;
const NO_LOG_FLUSH = 2;

const PYTHON = `import fcntl,os,struct,sys
fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),${EXT4_IOC_SHUTDOWN},struct.pack("I",${NO_LOG_FLUSH}))`;
const PERL = `open(my $f,"<",$ARGV[0]) or die $!; my $n=pack("L",${NO_LOG_FLUSH}); ioctl($f,${EXT4_IOC_SHUTDOWN},$n) or die $!;`;

/** Says why there can be no real power cut here, or nothing. */
export function powerCutObstacle(): string | undefined {
  if (process.platform !== "linux") return "real power cuts need Linux";
  if (process.getuid?.() !== 0) return "real power cuts need root, to mount a file system";
  if (!works("mkfs.ext4", ["-V"])) return "real power cuts need mkfs.ext4 (apt-get install e2fsprogs)";
  if (!works("python3", ["--version"]) && !works("perl", ["-v"]))
    return "real power cuts need python3 or perl, for the ioctl";
  if (!existsSync("/dev/loop-control")) return "real power cuts need loop devices, and there are none here";
  try {
    const disk = new CuttableDisk();
    disk.cut();
    disk.unmount();
    disk.remove();
    return undefined;
  } catch (error) {
    return `real power cuts are not permitted here: ${(error as Error).message}`;
  }
}

function works(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args).status === 0;
}

function must(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new UsageError(`${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** A file system whose power can be cut. */
export class CuttableDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;
  #isMounted = false;
  readonly #stop = (): void => this.remove();

  constructor() {
    const folder = makeFolder();
    this.#image = join(folder, "image");
    this.path = join(folder, "disk");
    mkdirSync(this.path);
    must("truncate", ["-s", SIZE, this.#image]);
    must("mkfs.ext4", ["-q", "-F", this.#image]);
    // Before the folder is removed: a mounted folder cannot be.
    process.prependOnceListener("exit", this.#stop);
    this.mount();
  }

  mount(): void {
    must("mount", ["-o", "loop,commit=300", this.#image, this.path]);
    this.#isMounted = true;
  }

  /** Everything that is there is durable. */
  sync(): void {
    must("sync", ["-f", this.path]);
  }

  /** The power fails, now. Whatever uses the file system gets errors from here on; afterwards it is unmounted. */
  cut(): void {
    const python = spawnSync("python3", ["-c", PYTHON, this.path]);
    if (python.status !== 0) must("perl", ["-e", PERL, this.path]);
  }

  /** Takes the mount away: what used it must have ended. */
  unmount(): void {
    must("umount", [this.path]);
    this.#isMounted = false;
  }

  remove(): void {
    process.removeListener("exit", this.#stop);
    if (this.#isMounted) works("umount", ["-l", this.path]);
    this.#isMounted = false;
  }
}
