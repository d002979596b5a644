import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Call,
  type DeliveryJob,
  type MessageSource,
  type Outcome,
  parseMailbox,
  replyLine,
} from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import { manualClock, testEnvironment, testScope } from '@mailwright/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PipeOptions, pipe } from './pipe.ts'

const call: Call = { signal: new AbortController().signal }
const LETTER = 'Subject: hi\r\n\r\nHello\r\n'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pipe-'))
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

function job(recipient: string | { local: string; domain: string }, message: MessageSource = letter()): DeliveryJob {
  const address = typeof recipient === 'string' ? parseMailbox(recipient)! : recipient
  return {
    id: '01x',
    envelope: {
      sender: parseMailbox('sue@example.net')!,
      recipients: [{ id: 1, address, original: parseMailbox('alias@example.org')! }],
      options: {},
    },
    message,
    arrivedAt: 0,
    attempt: 1,
  }
}

function letter(text = LETTER): MessageSource {
  return messageSource(Buffer.from(text))
}

/** A message whose body is not in memory. */
function streamed(chunks: readonly string[], missing = 0): MessageSource {
  const head = Buffer.from('Subject: hi\r\n\r\n')
  return {
    head,
    size: head.length + chunks.join('').length + missing,
    async *body() {
      for (const chunk of chunks) yield Buffer.from(chunk)
    },
  }
}

async function run(
  command: readonly string[],
  work = job('ann@example.org'),
  more: Partial<PipeOptions> = {},
  by = call,
): Promise<Outcome> {
  return (
    await pipe({ command, ...more })
      .create(testScope())
      .deliver(work, by)
  ).get(1)!
}

/** What a shell script comes to. The script is ours; mail never gets near it. */
const script = (text: string, ...given: Parameters<typeof run> extends [unknown, ...infer Rest] ? Rest : never) =>
  run(['/bin/sh', '-c', text, 'sh', root], ...given)

const said = (outcome: Outcome): string => `${outcome.status} ${replyLine(outcome.reply)}`

describe('the message', () => {
  it('is given with the fields of a delivery, and lines as Unix has them', async () => {
    expect(said(await script('cat > "$1/mail"'))).toBe('ok 250 2.0.0 delivered to command')
    expect(await readFile(join(root, 'mail'), 'latin1')).toBe(
      'Return-Path: <sue@example.net>\nX-Original-To: alias@example.org\nDelivered-To: ann@example.org\nSubject: hi\n\nHello\n',
    )
  })

  it('keeps its own line ends where that is wanted', async () => {
    await script('cat > "$1/mail"', job('ann@example.org'), { lineEnds: 'crlf' })
    expect(await readFile(join(root, 'mail'), 'latin1')).toMatch(/Subject: hi\r\n\r\nHello\r\n$/)
  })

  it('comes whole from wherever it is, also where a line end is cut in two', async () => {
    const chunks = ['one\r', '\ntwo\r', 'three\r\n', '', '\r', '\r\n', 'end\r']
    await script('cat > "$1/mail"', job('ann@example.org', streamed(chunks)))
    expect(await readFile(join(root, 'mail'), 'latin1')).toMatch(/\n\none\ntwo\rthree\n\r\nend\r$/)
  })

  it('of a megabyte need not be read', async () => {
    const large = letter(`Subject: large\r\n\r\n${'A line.\r\n'.repeat(150_000)}`)
    expect(said(await script('exit 0', job('ann@example.org', large)))).toMatch(/^ok/)
    expect(said(await script('head -c 10 > /dev/null; exit 67', job('ann@example.org', large)))).toMatch(/^failed/)
    const parts = streamed(Array.from({ length: 2_000 }, () => 'x'.repeat(998)))
    expect(said(await script('exit 0', job('ann@example.org', parts)))).toMatch(/^ok/)
  })

  it('that cannot be read in full is no delivery, whatever the command says', async () => {
    const outcome = await script('cat > /dev/null; exit 0', job('ann@example.org', streamed(['Hello\r\n'], 5)))
    expect(said(outcome)).toBe('deferred 451 4.3.0 Temporary failure, please try again later')
  })
})

describe('how it ends', () => {
  it.each([
    [64, 'failed 550 5.3.0 command line usage error'],
    [65, 'failed 550 5.6.0 data format error'],
    [67, 'failed 550 5.1.1 user unknown'],
    [68, 'failed 550 5.1.2 host name unknown'],
    [69, 'failed 550 5.3.0 service unavailable'],
    [71, 'deferred 451 4.3.0 system resource problem'],
    [73, 'failed 550 5.2.0 cannot create user output file'],
    [75, 'deferred 451 4.3.0 temporary failure'],
    [77, 'failed 550 5.7.0 permission denied'],
    [78, 'failed 550 5.3.5 local configuration error'],
    [1, 'deferred 451 4.3.0 command ended with status 1'],
    [127, 'deferred 451 4.3.0 command ended with status 127'],
  ])('with status %i: %s', async (status, expected) => {
    expect(said(await script(`cat > /dev/null; exit ${status}`))).toBe(expected)
  })

  it.each([
    ['echo "5.7.1 we do not like you"; exit 75', 'failed 550 5.7.1 we do not like you'],
    ['echo "4.2.2 mailbox is full" >&2; exit 67', 'deferred 451 4.2.2 mailbox is full'],
    ['echo "5.2.2"; exit 1', 'failed 550 5.2.2 command failed'],
    ['echo "2.0.0 all well"; exit 75', 'deferred 451 4.3.0 temporary failure. Command output: 2.0.0 all well'],
    ['echo "5.1.1x no code"; exit 75', 'deferred 451 4.3.0 temporary failure. Command output: 5.1.1x no code'],
    ['echo "no such user"; exit 67', 'failed 550 5.1.1 user unknown. Command output: no such user'],
    ['echo "5.0.0 but delivered"; exit 0', 'ok 250 2.0.0 delivered to command'],
    ['printf "one\\r\\n250 two"; exit 67', 'failed 550 5.1.1 user unknown. Command output: one 250 two'],
    ['kill -9 $$', 'deferred 451 4.3.0 command ended by SIGKILL'],
  ])('%s', async (text, expected) => {
    expect(said(await script(text))).toBe(expected)
  })

  it('with more output than anybody wants: the beginning is kept', async () => {
    const outcome = await script('yes | head -c 3000000; exit 67')
    expect(said(outcome).length).toBeLessThan(600)
    expect(outcome.status).toBe('failed')
  })

  it('leaving something behind that keeps its output: that is ended too', async () => {
    expect(said(await script('sleep 600 & exit 0'))).toMatch(/^ok/)
  })
})

describe('what goes wrong', () => {
  it.each([
    ['a program that is not there', ['/nowhere/program']],
    ['a program that is none', ['/etc']],
  ])('%s: everything for it is deferred', async (_, command) => {
    const outcome = await run(command)
    expect(said(outcome)).toBe('deferred 451 4.3.0 Temporary failure, please try again later')
    expect(outcome).toMatchObject({ scope: 'destination' })
  })

  it('a folder that is not there defers it, too', async () => {
    expect((await script('exit 0', job('ann@example.org'), { cwd: '/nowhere' })).status).toBe('deferred')
  })

  it('a command that takes too long is ended, with all it has started', async () => {
    const clock = manualClock()
    const scope = testScope({ environment: testEnvironment({ clock }) })
    const command = ['/bin/sh', '-c', 'echo started > "$1/started"; sleep 600; sleep 600', 'sh', root]
    const delivering = pipe({ command, timeLimit: '1m' }).create(scope).deliver(job('ann@example.org'), call)
    await expect.poll(() => readFile(join(root, 'started'), 'latin1')).toBe('started\n')
    await clock.advance('1m')
    expect(said((await delivering).get(1)!)).toBe('deferred 451 4.3.0 command ran longer than 60000 ms')
    expect(clock.pending).toBe(0)
  })

  it('a shutdown ends the command, and the recipient is deferred', async () => {
    const controller = new AbortController()
    const command = ['/bin/sh', '-c', 'echo started > "$1/started"; sleep 600', 'sh', root]
    const delivering = run(command, job('ann@example.org'), {}, controller)
    await expect.poll(() => readFile(join(root, 'started'), 'latin1')).toBe('started\n')
    controller.abort(new Error('stopping'))
    expect((await delivering).status).toBe('deferred')
  })

  it('mail that was delivered to the address before fails', async () => {
    const looping = letter(`Delivered-To: Ann@example.org\r\n${LETTER}`)
    expect(said(await script('exit 0', job('ann@example.org', looping)))).toMatch(/^failed 554 5\.4\.6/)
  })

  it.each([
    ['no absolute path', ['cat']],
    ['no absolute path', []],
    ['no absolute path', ['/usr/bin/{user}']],
    ['stands for nothing', ['/bin/cat', '{nothing}']],
  ])('%s: %j', (problem, command) => {
    expect(() => pipe({ command })).toThrow(problem === 'no absolute path' ? 'not the absolute path' : problem)
  })
})

describe('what the mail brings', () => {
  const ALL = ['recipient', 'original', 'user', 'extension', 'local', 'domain', 'sender', 'id', 'size']

  it('is each argument as it is, and the environment of local(8)', async () => {
    const program = 'printf "%s\\n" "$@" > "$ROOT/args"; env | sort > "$ROOT/env"'
    const command = ['/bin/sh', '-c', program.replaceAll('$ROOT', root), 'sh', ...ALL.map((name) => `-{${name}}-`)]
    await run(command, job({ local: 'ann+list$(id)', domain: 'example.org' }))
    expect((await readFile(join(root, 'args'), 'latin1')).split('\n').slice(0, -1)).toEqual([
      '-"ann+list$(id)"@example.org-',
      '-alias@example.org-',
      '-ann-',
      '-list$(id)-',
      '-ann+list$(id)-',
      '-example.org-',
      '-sue@example.net-',
      '-01x-',
      '-22-',
    ])
    expect(
      (await readFile(join(root, 'env'), 'latin1')).split('\n').filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)),
    ).toEqual([
      'DOMAIN=example.org',
      'EXTENSION=list$(id)',
      'LOCAL=ann+list$(id)',
      'ORIGINAL_RECIPIENT=alias@example.org',
      'PATH=/usr/local/bin:/usr/bin:/bin',
      'RECIPIENT="ann+list$(id)"@example.org',
      'SENDER=sue@example.net',
      'USER=ann',
      '',
    ])
  })

  it.each(['-oQ/tmp', '--help', '-'])('never becomes an option: %s', async (local) => {
    expect(said(await run(['/bin/sh', '-c', 'exit 0', 'sh', '{local}'], job({ local, domain: 'example.org' })))).toBe(
      'failed 553 5.1.3 The address cannot be given to a command',
    )
    expect(
      (await run(['/bin/sh', '-c', 'exit 0', 'sh', '--to={local}'], job({ local, domain: 'example.org' }))).status,
    ).toBe('ok')
  })

  it.each(['a\nb', 'a\0b', 'a\x1bb', 'a\x7fb'])('never holds a control character: %j', async (local) => {
    expect(said(await run(['/bin/cat'], job({ local, domain: 'example.org' })))).toMatch(/^failed 553 5\.1\.3/)
  })

  it('is nothing a shell would see', async () => {
    for (const local of [
      '|touch pwned',
      ';touch pwned',
      '$(touch pwned)',
      '`touch pwned`',
      '../../etc/passwd',
      '* ?',
      '"x"',
    ]) {
      await run(
        ['/bin/sh', '-c', 'printf "%s" "$1" > "$2/got"', 'sh', 'x{local}', root],
        job({ local, domain: 'example.org' }),
        { cwd: root },
      )
      expect(await readFile(join(root, 'got'), 'utf8')).toBe(`x${local}`)
    }
    await expect(readFile(join(root, 'pwned'))).rejects.toThrow('ENOENT')
  })
})
