import { type Mailbox, mailboxKey } from '@mailwright/core'
import { mailbox } from '@mailwright/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseVerp, type VerpStyle, verpAddress } from './verp.ts'

const BOUNCES = mailbox('bounces@sender.example')
const ANN = mailbox('ann@example.com')
const SIGNED: VerpStyle = { secret: 'a secret of some length' }

function written(recipient: Mailbox, style?: VerpStyle): string {
  const address = verpAddress(BOUNCES, recipient, style)
  return address === undefined ? 'none' : `${address.local}@${address.domain}`
}

describe('a return path for one recipient', () => {
  it('names the recipient', () => {
    expect(written(ANN)).toBe('bounces+ann=example.com@sender.example')
    expect(written(ANN, { delimiter: '-' })).toBe('bounces-ann=example.com@sender.example')
  })

  it.each([
    ['a plain address', mailbox('ann@example.com')],
    ['an address with the delimiter', mailbox('ann+list=x@example.com')],
    ['an address literal', mailbox('ann@[192.0.2.1]')],
    ['an internationalized address', mailbox('jörg@bücher.example')],
  ])('can be read: %s', (_what, recipient) => {
    expect(parseVerp(verpAddress(BOUNCES, recipient)!)).toEqual({ sender: BOUNCES, recipient, signed: false })
    expect(parseVerp(verpAddress(BOUNCES, recipient, SIGNED)!, SIGNED)).toEqual({
      sender: BOUNCES,
      recipient,
      signed: true,
    })
  })

  it('can be read after a server has folded its case', () => {
    const address = verpAddress(BOUNCES, mailbox('Ann@example.com'), SIGNED)!
    const folded = { ...address, local: address.local.toUpperCase() }
    expect(mailboxKey(parseVerp(folded, SIGNED)!.recipient)).toBe('ann@example.com')
  })

  it.each([
    ['it is not signed', verpAddress(BOUNCES, ANN)!],
    ['it was signed by others', verpAddress(BOUNCES, ANN, { secret: 'another secret of theirs' })!],
    ['the mark is of another recipient', mailbox(written(ANN, SIGNED).replace('ann', 'bob'))],
    ['the mark is of another sender', mailbox(written(ANN, SIGNED).replace('bounces', 'news'))],
    [
      'the mark is cut',
      mailbox(
        written(ANN, SIGNED)
          .replace('@', '')
          .replace(/.sender/, '@sender'),
      ),
    ],
  ])('is not believed when %s', (_why, address) => {
    expect(parseVerp(address, SIGNED)).toBeUndefined()
  })

  it.each([
    'bounces@sender.example',
    'bounces+ann@sender.example',
    '+ann=example.com@sender.example',
    'bounces+=@x.example',
  ])('is not seen in %s', (address) => {
    expect(parseVerp(mailbox(address))).toBeUndefined()
  })

  it('is not made when it would be too long or could not be read again', () => {
    expect(written({ local: 'a'.repeat(50), domain: 'example.com' })).toBe('none')
    expect(verpAddress(mailbox('a+b@sender.example'), ANN)).toBeUndefined()
    expect(verpAddress(BOUNCES, mailbox('postmaster'))).toBeUndefined()
  })

  it('is not made in a style that cannot work', () => {
    expect(() => verpAddress(BOUNCES, ANN, { delimiter: '@' })).toThrow('delimiter')
    expect(() => parseVerp(ANN, { secret: 'short' })).toThrow('secret')
  })

  it('is read as what it was made of, or not made', () => {
    const local = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }).filter((text) => !/\p{Cc}/u.test(text))
    fc.assert(
      fc.property(
        local,
        fc.constantFrom('+', '-', '='),
        fc.option(fc.constant(SIGNED.secret)),
        (text, delimiter, secret) => {
          const recipient = { local: text, domain: 'example.com' }
          const style = { delimiter, ...(secret === null ? {} : { secret }) }
          const address = verpAddress(BOUNCES, recipient, style)
          if (address !== undefined) expect(parseVerp(address, style)?.recipient).toEqual(recipient)
        },
      ),
    )
  })
})
