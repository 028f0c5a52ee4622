/** strerror for the errors that a disk gives, as Redis shows them in MISCONF. */

const TEXTS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EDQUOT: "Disk quota exceeded",
  EFBIG: "File too large",
  EINTR: "Interrupted system call",
  EIO: "Input/output error",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
};

export function errorText(code: string): string {
  return TEXTS[code] ?? code;
}
