/** Lines that are longer than the terminal is wide, broken between words. */

/** Undefined: nobody looks, and lines are as long as they are. */
export function terminalWidth(): number | undefined {
  return process.stdout.isTTY === true ? process.stdout.columns : undefined;
}

/** A word that others stand behind as a column: `    setup     one SET …`. */
const LABEL = /^ +\S+ {2,}/;
const INDENT = 2;

/** The line in parts; what is broken off stands under its column, or a little to the right of where the line begins. */
export function fitted(line: string, width: number | undefined): string[] {
  if (width === undefined || line.length <= width) return [line];
  const begin = /^ */.exec(line)?.[0] ?? "";
  const label = LABEL.exec(line)?.[0] ?? "";
  const indent = label !== "" && label.length <= width / 2 ? " ".repeat(label.length) : begin + " ".repeat(INDENT);
  const lines: string[] = [];
  let part = label === "" ? begin : label;
  let isEmpty = true;
  for (const word of line.slice(part.length).split(" ")) {
    if (!isEmpty && part.length + 1 + word.length > width) {
      lines.push(part.trimEnd());
      part = indent;
      isEmpty = true;
    }
    part += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, part.trimEnd()];
}
