/** Stands for work of your own. */
export async function sendMail(to: string, { signal }: { readonly signal: AbortSignal }): Promise<string> {
  signal.throwIfAborted()
  return `accepted for ${to}`
}
