/** The sink's web page: a list of what came, and each message as text. Nothing of a message is ever markup. */
import type { SeenMail } from './mail-window.ts'

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1b1f}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd;vertical-align:top}
pre{background:#f6f6f8;padding:1rem;overflow:auto;white-space:pre-wrap}a{color:#0b57d0}small{color:#666}`

/** The list of messages, newest first. It reloads itself every five seconds. */
export function listPage(seen: readonly SeenMail[]): string {
  const rows = seen.map(
    (mail) =>
      `<tr><td>${new Date(mail.at).toISOString()}</td><td>${asText(mail.from)}</td><td>${mail.to.map(asText).join('<br>')}</td><td><a href="/message/${encodeURIComponent(mail.id)}">${asText(mail.subject)}</a></td><td>${mail.size}</td></tr>`,
  )
  const body =
    seen.length === 0
      ? '<p>Nothing yet. Send something.</p>'
      : `<table><tr><th>Time</th><th>From</th><th>To</th><th>Subject</th><th>Bytes</th></tr>${rows.join('')}</table>`
  return page('Mail sink', `<h1>Mail sink</h1>${body}`, '<meta http-equiv="refresh" content="5">')
}

/** One message. */
export function messagePage(mail: SeenMail): string {
  const cut = Buffer.byteLength(mail.text) < mail.size ? '<p><small>Only the beginning is shown.</small></p>' : ''
  return page(
    mail.subject,
    `<p><a href="/">All messages</a></p><h1>${asText(mail.subject)}</h1><p>From &lt;${asText(mail.from)}&gt; to ${mail.to.map((to) => `&lt;${asText(to)}&gt;`).join(', ')}</p>${cut}<pre>${asText(mail.text)}</pre>`,
  )
}

function page(title: string, body: string, head = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${asText(title)}</title>${head}<style>${STYLE}</style></head><body>${body}</body></html>`
}

function asText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
