/**
 * Looks up host names for Node's http client. SQL checks the url; only here it is seen where a name leads: not to private
 * addresses, unless the endpoint may. Mirrors functions/71-address.sql.
 */
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { BlockList, LookupFunction } from 'node:net'

export interface DnsModule {
  lookup(hostname: string, options: LookupOptions & { all: true }, callback: (error: Error | null, addresses: LookupAddress[]) => void): void
}
export interface NetModule {
  readonly BlockList: new () => BlockList
}

/** What is not public in IPv4, by IANA's registry of special purposes. */
const PRIVATE_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24],
  ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 3],
]
/** And in IPv6: all but 2000::/3, and but 64:ff9b::/96, by which networks without IPv4 reach it (NAT64). */
const PRIVATE_IPV6: readonly (readonly [network: string, prefix: number])[] = [
  ['::', 10], ['64:ff9b:1::', 48], ['100::', 8], ['200::', 7], ['400::', 6], ['800::', 5], ['1000::', 4], ['4000::', 2], ['8000::', 1],
  ['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20],
]
const NAT64 = '64:ff9b::'

/** The look-ups that an agent makes for endpoints that may, and that may not, lead to private addresses. */
export function createLookups(dns: DnsModule, net: NetModule): { readonly any: LookupFunction; readonly public_only: LookupFunction } {
  // One for each, because a list takes an IPv4 address for its mapped form in IPv6 too.
  const [ipv4, ipv6] = [new net.BlockList(), new net.BlockList()]
  for (const [network, prefix] of PRIVATE_IPV4) {
    ipv4.addSubnet(network, prefix, 'ipv4')
    ipv6.addSubnet(NAT64 + network, 96 + prefix, 'ipv6')
  }
  for (const [network, prefix] of PRIVATE_IPV6) ipv6.addSubnet(network, prefix, 'ipv6')
  const isPublic = ({ address, family }: LookupAddress): boolean => !(family === 6 ? ipv6.check(address, 'ipv6') : ipv4.check(address, 'ipv4'))
  const find = shareLookups(dns)

  function lookup(is_public_only: boolean): LookupFunction {
    return (hostname, options, callback) => {
      find(hostname, options).then((all) => {
        const addresses = is_public_only ? all.filter(isPublic) : all
        const [first] = addresses
        if (first === undefined) callback(Object.assign(new Error('private address'), { code: 'EPRIVATE' }), options.all ? [] : '')
        else if (options.all) callback(null, addresses)
        else callback(null, first.address, first.family)
      }, (error) => callback(error, options.all ? [] : ''))
    }
  }
  return { any: lookup(false), public_only: lookup(true) }
}

/** Who asks for a name that is being looked up shares the answer: the runtime looks up few names at a time, and some take long. */
function shareLookups(dns: DnsModule): (hostname: string, options: LookupOptions) => Promise<LookupAddress[]> {
  const under_way = new Map<string, Promise<LookupAddress[]>>()
  return (hostname, { family, hints }) => {
    const key = `${hostname} ${family} ${hints}`
    const known = under_way.get(key)
    if (known) return known
    const asked = new Promise<LookupAddress[]>((resolve, reject) => {
      const options = { ...(family !== undefined && { family }), ...(hints !== undefined && { hints }), all: true as const }
      dns.lookup(hostname, options, (error, addresses) => (error ? reject(error) : resolve(addresses)))
    }).finally(() => under_way.delete(key))
    under_way.set(key, asked)
    return asked
  }
}
