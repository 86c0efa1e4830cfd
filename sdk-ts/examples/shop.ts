/** Stands for work of your own. */
export const shop = {
  async reserve(item: string): Promise<{ reservation: string }> {
    return { reservation: `shelf of ${item}` }
  },
  async release(_reservation: string): Promise<void> {},
  async charge(order_id: number, _options: { readonly signal: AbortSignal }): Promise<{ receipt: string }> {
    return { receipt: `receipt ${order_id}` }
  },
  async send(text: string): Promise<void> {
    if (text === '') throw new Error('nothing to send')
  },
}
