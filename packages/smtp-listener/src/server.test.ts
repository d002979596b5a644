/** What we count on in smtp-server. A new version must not be taken before these hold and every override was read again. */
import { createRequire } from 'node:module'
import { SMTPServer } from 'smtp-server'
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js'
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { describe, expect, test } from 'vitest'
import { MailConnection } from './connection.ts'
import { CommandReader } from './reader.ts'
import { MailServer } from './server.ts'

type Members = Record<string, (...input: never[]) => unknown>

test('smtp-server is exactly the version our overrides were written for', () => {
  expect(createRequire(import.meta.url)('smtp-server/package.json')).toMatchObject({ version: '3.21.6' })
})

describe.each([
  ['SMTPServer', SMTPServer, { connect: 2, onSecure: 3, _onError: 1, updateSecureContext: 1, _resolveSNI: 2 }],
  [
    'SMTPConnection',
    SMTPConnection,
    {
      init: 0,
      send: 3,
      close: 0,
      upgrade: 2,
      _createParser: 0,
      _onCloseEvent: 1,
      _onClose: 0,
      _onError: 1,
      _onTimeout: 0,
      _armTimeout: 0,
      _resetSession: 0,
    },
  ],
  ['SMTPStream', SMTPStream, { _write: 3, _feedDataStream: 2, startDataMode: 1 }],
] as const)('%s', (_name, type, members) => {
  test.each(Object.entries(members))('has %s with %i parameters', (member, parameters) => {
    expect((type.prototype as unknown as Members)[member]).toHaveLength(parameters)
  })
})

describe('the STARTTLS upgrade of smtp-server, which we use as it is,', () => {
  const source = SMTPConnection.prototype.upgrade.toString()

  test.each([
    ['retires the parser before the handshake', 'this._parser.isClosed = true'],
    ['makes a new one', 'this._parser = this._createParser()'],
    ['marks the time in between', 'this._upgrading = true'],
    ['shows us the upper socket first here', 'this._armTimeout(tlsSocket)'],
    ['reports its end', "tlsSocket.once('close', (hadError) => this._onCloseEvent(hadError))"],
    ['reports errors', 'this._onError(err)'],
    ['asks the server, then pipes, then calls back', 'this._socket.pipe(this._parser)'],
    ['handles a renegotiation once', "tlsSocket.once('secure'"],
  ])('%s', (_what, statement) => {
    expect(source).toContain(statement)
  })

  test('arms no timer of its own', () => {
    expect(source).not.toMatch(/setTimeout\(/)
  })
})

test('our classes override what would arm timers or write by itself', () => {
  const own = (type: { prototype: object }, member: string): boolean => Object.hasOwn(type.prototype, member)
  for (const member of [
    'init',
    'send',
    'close',
    '_onClose',
    '_onError',
    '_onTimeout',
    '_armTimeout',
    '_createParser',
  ]) {
    expect(own(MailConnection, member), member).toBe(true)
  }
  for (const member of ['connect', 'onSecure', '_onError']) expect(own(MailServer, member), member).toBe(true)
  for (const member of ['write', 'end']) expect(own(CommandReader, member), member).toBe(true)
})

test('the constructor of a connection arms no timer and looks nothing up', () => {
  const source = SMTPConnection.toString()
  const making = source.slice(source.indexOf('constructor('), source.indexOf('\n    }'))
  expect(making).toContain('this._parser = this._createParser()')
  expect(making).not.toMatch(/setTimeout|dns\./)
})
