/** Output of several processes in one stream: passed on in whole lines, however it came. */

const LONGEST_LINE = 65_536

export interface WholeLines {
  write(chunk: Uint8Array): void
  /** Nothing more comes: what is left of a line ends here. */
  end(): void
}

/** Passes on what ends with a line. A line beyond 64 KiB is passed on as it comes. */
export function wholeLines(pass: (lines: Uint8Array) => void): WholeLines {
  let partial: Buffer = Buffer.alloc(0)
  return {
    write(chunk): void {
      const all = partial.length === 0 ? Buffer.from(chunk) : Buffer.concat([partial, chunk])
      const end = all.length > LONGEST_LINE ? all.length : all.lastIndexOf('\n') + 1
      if (end > 0) pass(all.subarray(0, end))
      partial = all.subarray(end)
    },
    end(): void {
      if (partial.length > 0) pass(Buffer.concat([partial, Buffer.from('\n')]))
      partial = Buffer.alloc(0)
    },
  }
}
