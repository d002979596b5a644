/**
 * What answers are about, as far as their codes and the big receivers' published texts tell: enhanced codes by RFC 3463,
 * RFC 5248's registry, RFC 7372 (authentication), RFC 7504 and 7505 (null MX), RFC 8689; codes of their own by Gmail,
 * Microsoft and Yahoo.
 *
 * The order matters: a receiver's own use of a code first, then codes that say one thing only, then texts, and last the
 * codes that are given for anything. Patterns have no nested repetition: they take linear time.
 */
import type { ResponseRule } from './classification.ts'

/** The table that reads answers unless a host has its own. Put your own rules before it. */
export const knownResponses: readonly ResponseRule[] = [
  // Codes that a receiver uses for something else than their registration says.
  { category: 'rate', pattern: said('2\\.1', '(?:too quickly|at a rate)') },
  { category: 'rate', pattern: code('7\\.(?:28|5\\d\\d|65\\d)', '4') },
  { category: 'rate', pattern: code('2\\.12[12]') },
  { category: 'tls', pattern: said('7\\.29', '\\bTLS\\b') },
  { category: 'auth', pattern: said('7\\.(?:27|30)', '\\b(?:SPF|DKIM)\\b') },
  { category: 'auth', pattern: code('7\\.(?:32|509|515)') },
  { category: 'auth', pattern: said('7\\.9', 'policy reasons') },
  { category: 'block', pattern: code('7\\.(?:511|6[0-4]\\d|70[358]|750)') },
  { category: 'tls', pattern: code('7\\.32[1-5]') },
  { category: 'unknown-recipient', pattern: said('1\\.10', 'RecipientNotFound') },
  { category: 'unknown-recipient', pattern: said('4\\.1', 'recipient address rejected', '5') },
  { category: 'rate', pattern: /\[TSS?0[124-9]\]|temporarily deferred due to|recipient thread limit/i },
  { category: 'block', pattern: /\[(?:BL|IPTS)\d\d\]|\bS3(?:14|15)0\b/ },

  // Codes that say one thing.
  { category: 'mailbox-full', pattern: code('2\\.2') },
  { category: 'unknown-recipient', pattern: code('1\\.[16]') },
  { category: 'unknown-domain', pattern: code('1\\.(?:2|10)') },
  { category: 'unknown-domain', pattern: /^556\b/ },
  { category: 'policy', pattern: code('(?:1\\.[78]|7\\.(?:2|15|16|27))') },
  { category: 'rate', pattern: code('4\\.5') },
  { category: 'content', pattern: code('(?:6\\.\\d{1,3}|2\\.3|3\\.4)') },
  { category: 'auth', pattern: code('7\\.(?:8|9|1[1-4]|2[0-6]|29)') },
  { category: 'auth', pattern: /^53[058]\b/ },
  { category: 'tls', pattern: code('7\\.(?:4|5|10|30)') },
  { category: 'tls', pattern: /^523\b/ },

  // What they say beside codes that tell little.
  { category: 'greylist', pattern: /\bgr[ae]y-? ?list/i },
  { category: 'block', pattern: /spamhaus|spamcop|barracuda|abusix|\bSNDS\b|\bDNSBL\b|\bRBL\b/i },
  { category: 'block', pattern: /black-? ?list|block-? ?list|blocked using|permanently deferred|banned/i },
  { category: 'rate', pattern: /rate[- ]?limit|throttl|unusual rate|server (?:is )?busy|slow down|concurrent conn/i },
  {
    category: 'rate',
    pattern: /too (?:many (?:connections|messages|e?mails|concurrent|sessions)|fast|quickly|frequent)/i,
  },
  { category: 'block', pattern: /(?:poor|bad|low) (?:\w{1,20} )?reputation|\blisted (?:at|in|by|on) /i },
  { category: 'mailbox-full', pattern: /over[ -]?quota|quota (?:is )?exceeded|mailbox (?:is )?full|out of storage/i },
  {
    category: 'mailbox-full',
    pattern: /exceed\w{0,6} (?:\w{1,20} )?(?:quota|storage)|storage (?:space|limit) exceeded/i,
  },
  { category: 'content', pattern: /\bvirus|malware|infected|attachment|message (?:size|too (?:big|large))/i },
  { category: 'spam', pattern: /\bspam|unsolicited|\bjunk\b|phish|\bU[BC]E\b/i },
  { category: 'auth', pattern: /\b(?:DMARC|SPF|DKIM)\b|unauthenticated|authenticat/i },
  { category: 'unknown-recipient', pattern: /no such (?:user|mailbox|recipient|person|address)|no mailbox here/i },
  { category: 'unknown-recipient', pattern: /(?:unknown|invalid|inactive) (?:local )?(?:user|recipient|mailbox)/i },
  { category: 'unknown-domain', pattern: /domain\b.{0,60}\b(?:unknown|not found|not exist|n't exist)|null MX/i },
  {
    category: 'unknown-recipient',
    pattern: /(?:user|recipient|mailbox|account|address)\b.{0,60}(?:\bunknown|not found|not exist|n't exist|disabled)/i,
  },
  { category: 'tls', pattern: /\bTLS\b|certificate/i },

  // Codes that are given for anything.
  { category: 'unknown-recipient', pattern: code('2\\.1', '5') },
  { category: 'unknown-domain', pattern: code('4\\.4', '5') },
  { category: 'policy', pattern: code('(?:7\\.\\d{1,3}|5\\.3)') },
  { category: 'policy', pattern: /\bpolic(?:y|ies)\b|access denied/i },
  { category: 'network', pattern: code('(?:4\\.[0-4]|3\\.2)', '4') },
  { category: 'network', pattern: /^421\b/ },
]

/** An enhanced code, where it belongs: behind the reply code. Addresses and versions in the text look like codes too. */
function code(detail: string, status: '4' | '5' | '[45]' = '[45]'): RegExp {
  return new RegExp(`^\\d{3} #?${status}\\.${detail}(?![.\\d])`)
}

/** An enhanced code with a text somewhere behind it. */
function said(detail: string, text: string, status: '4' | '5' | '[45]' = '[45]'): RegExp {
  return new RegExp(`^\\d{3} #?${status}\\.${detail}(?![.\\d]).*${text}`, 'i')
}
