/** The pages that `createSignalHandler` shows. Mirrors no SQL file. */

/** What the pages say, as plain text. */
export interface SignalTexts {
  /** @default 'Please confirm' */
  readonly title: string
  /** Above the button. @default 'Do you want to go on?' */
  readonly question: string
  /** @default 'Confirm' */
  readonly button: string
  /** After it was sent. @default 'Thank you. You may close this page.' */
  readonly done: string
  /** @default 'This link has been used already, or is too old.' */
  readonly gone: string
  /** @default 'This link is not complete.' */
  readonly invalid: string
  /** @default 'This did not work. Please try again in a while.' */
  readonly failed: string
}

const TEXTS: SignalTexts = {
  title: 'Please confirm',
  question: 'Do you want to go on?',
  button: 'Confirm',
  done: 'Thank you. You may close this page.',
  gone: 'This link has been used already, or is too old.',
  invalid: 'This link is not complete.',
  failed: 'This did not work. Please try again in a while.',
}

/** The link holds a secret: it must not be kept, passed on or framed. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
}

const STYLE = 'body{font:18px/1.5 system-ui,sans-serif;max-width:30em;margin:15vh auto;padding:0 1em}button{font:inherit;padding:.5em 1.5em}'

/** A button that posts the token, and the parameters of the link. */
export function confirmPage(token: string, parameters: Readonly<Record<string, string>>, texts: Partial<SignalTexts>): Response {
  const { title, question, button } = { ...TEXTS, ...texts }
  const fields = Object.entries({ ...parameters, token }).map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`)
  return page(200, title, `<p>${escape(question)}</p><form method="post" action="?">${fields.join('')}<button>${escape(button)}</button></form>`)
}

export function messagePage(status: number, name: 'done' | 'gone' | 'invalid' | 'failed', texts: Partial<SignalTexts>): Response {
  const all = { ...TEXTS, ...texts }
  return page(status, all.title, `<p>${escape(all[name])}</p>`)
}

function page(status: number, title: string, body: string): Response {
  const html = `<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><style>${STYLE}</style></head><body><h1>${escape(title)}</h1>${body}</body></html>\n`
  return new Response(html, { status, headers: HEADERS })
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}
